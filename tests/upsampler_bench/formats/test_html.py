import html.parser
import json
import re
from dataclasses import replace

import pytest
from report_reading import cell, with_reading
from sample_page import NASTY, page_report, probed_run, stranger_report
from sample_run import ENVIRONMENT, METRICS, sample_run

from upsampler_bench import formats, report
from upsampler_bench.case import Case, Settings
from upsampler_bench.figures.palette import Colours
from upsampler_bench.formats.html import plots
from upsampler_bench.results import Measurement, Run


def page(made=None) -> str:
    return formats.render("html", made or page_report())


def without_library(text: str) -> str:
    """The page less the packed drawing library."""
    return re.sub(r'(id="plotly">)[A-Za-z0-9+/=]+', r"\1", text)


class Reader(html.parser.HTMLParser):
    """Collects elements with their attributes, and the text of each kind of script."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.inside = False

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        self.inside = tag == "script"
        self.scripts += [""] * self.inside

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def test_the_page_is_one_file_under_six_mebibytes_and_the_same_each_time():
    (name, content), *others = formats.get("html").files(page_report()).items()
    assert (name, others) == ("report.html", [])
    assert len(content) < 6 * 2**20
    assert formats.get("html").files(page_report()) == {name: content}


@pytest.mark.parametrize("made", [page_report(), stranger_report()], ids=["ours", "stranger"])
def test_nothing_is_fetched_from_anywhere(made):
    reader = read(page(made))
    assert not {"link", "img", "iframe", "object", "embed", "base", "audio", "video"} & {tag for tag, _ in reader.found}
    for _, attributes in reader.found:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?://", without_library(page(made)))


def test_a_policy_lets_only_the_scripts_of_the_page_run():
    text = page()
    policy = next(found["content"] for tag, found in read(text).found if found.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    script_policy = policy.split(";")[1]
    assert "unsafe" not in script_policy
    assert "*" not in script_policy
    assert len(read(text).scripts) == 3


def test_what_a_stranger_says_is_text_everywhere():
    text = without_library(page(stranger_report()))
    reader = read(text)
    assert len(reader.scripts) == 3
    assert not {"img", "b", "i"} & {tag for tag, found in reader.found if "onerror" in found or "onmouseover" in found}
    assert "<img" not in text
    assert "</script><script>w" not in text
    assert "{{ 7*7 }}" in text
    assert "&lt;img src=x onerror=window.pwned=1&gt;" in text


def test_the_data_is_json_that_no_name_can_end():
    raw = read(page(stranger_report())).scripts[0]
    assert not set("<>&\u2028\u2029") & set(raw)
    data = json.loads(raw)
    assert set(NASTY) <= {one["name"] for one in data["operators"]}
    assert len(data["plots"]) > 8


def test_a_report_without_tables_and_one_in_which_all_failed_say_so_and_draw_nothing():
    empty = page(report.from_run(Run(ENVIRONMENT, Settings(), METRICS, ())))
    assert "Nothing was measured, so there is no table." in empty
    assert 'id="chooser"' not in empty
    assert 'class="plots' not in empty
    lost = tuple(replace(one, status="failed", reason="no kernel", readings=()) for one in sample_run().measurements)
    failed = page(report.from_run(replace(sample_run(), measurements=lost)))
    assert "No operator gave a number under this condition." in failed
    assert failed.count("failed: no kernel") >= 12
    assert 'class="plots' not in failed


def test_verdicts_are_counted_and_told_by_sign_and_word_with_the_reason_in_the_text():
    text = " ".join(page().split())
    assert "<span>✓ 1 reproduced</span><span>≠ 1 differs</span><span>◷ 1 needs training</span>" in text
    assert "∅ 1 not measured" in text
    assert '<td class="is-differs" title="counted at its output">' in text
    assert "<li>counted at its output</li>" in text


def test_a_bar_relative_to_the_baseline_is_the_ratio_that_the_table_holds():
    made = page_report()
    plots = json.loads(read(page(made)).scripts[0])["plots"]
    place = [bar.name for bar in made.pictures[0].charts[0].bars].index("dysample")
    bars = plots[0]["ratio"]["data"][0]
    ratio = cell(made, "dysample", "latency_ratio")
    value, error = bars["x"][place], bars["error_x"]
    ends = (value - error["arrayminus"][place], value + error["array"][place])
    assert (value, *ends) == pytest.approx((ratio.value, ratio.low, ratio.high))


def test_error_bars_of_a_figure_are_the_intervals():
    made = page_report()
    bars = json.loads(read(page(made)).scripts[0])["plots"][0]["figure"]["data"][0]
    for place, bar in enumerate(made.pictures[0].charts[0].bars):
        if bar.interval is not None:
            low, high = bar.interval
            assert bars["x"][place] - bars["error_x"]["arrayminus"][place] == pytest.approx(low)
            assert bars["x"][place] + bars["error_x"]["array"][place] == pytest.approx(high)
    assert any(bars["error_x"]["array"])


def test_the_chooser_gets_the_range_of_too_few_rounds_and_an_exact_number_as_its_own_interval():
    run, case = sample_run(), Case("nearest")
    run = with_reading(run, case, replace(run.measurement(case).reading("latency"), rounds=((0.0123,), (0.0127,))))
    table = json.loads(read(page(report.from_run(run))).scripts[0])["tables"][0]
    columns = [column["name"] for column in table["columns"]]
    cells = next(row for row in table["rows"] if row["name"] == "nearest")["cells"]
    assert cells[columns.index("latency")][:3] == pytest.approx([12.5, 12.3, 12.7])
    assert cells[columns.index("inference_memory")][:3] == [56.25, 56.25, 56.25]


def test_every_operator_of_a_picture_is_in_its_figures_and_in_the_table_below_it():
    made = page_report()
    figures = iter(json.loads(read(page(made)).scripts[0])["plots"])
    for picture in made.pictures:
        head, rows = plots.numbers(picture)
        assert {len(row) for row in rows} == {len(head)}
        names = {row[0] for row in rows}
        for _ in plots.plots(picture, made.tables, Colours()):
            hovered = json.dumps(next(figures)["figure"]["data"], ensure_ascii=False)
            assert all(plots.plain(name, 200) in hovered for name in names)


def test_operators_are_told_with_what_they_were_seen_to_do():
    known = {one.name: one for one in report.from_run(probed_run()).operators}
    assert known["carafe"].needs_guide
    assert (known["dysample"].miou, known["mine"].miou) == (43.21, None)
    assert known["dysample"].capabilities == {"onnx_export": True, "deterministic": True}
    assert known["dysample+"].capabilities["onnx_export"] is False
    assert known["nearest"].capabilities["onnx_export"] is None
    assert known["dysample-s"].capabilities == {}


def test_a_no_of_one_run_outweighs_the_yes_of_another_and_an_operator_is_as_good_on_any_backend():
    run = probed_run()
    worse = tuple(
        replace(one, readings=tuple(replace(two, rounds=((0.0,),) if two.rounds else ()) for two in one.readings))
        for one in run.measurements
    )
    known = {one.name: one for one in report.from_runs([run, replace(run, measurements=worse)]).operators}
    assert known["dysample"].capabilities == {"onnx_export": False, "deterministic": False}
    assert known["nearest"].capabilities["onnx_export"] is None
    case = Case("dysample", backend="triton")
    known = {one.name: one for one in report.from_run(run.with_measurement(Measurement(case))).operators}
    assert (known["dysample · torch"].miou, known["dysample · triton"].miou) == (43.21, 43.21)
