import csv
import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from report_reading import cell, with_reading
from sample_run import ENVIRONMENT, FIGURES, METRICS, plain_run, sample_run

from upsampler_bench import formats, report, storage
from upsampler_bench.case import Case, Settings
from upsampler_bench.errors import PlanError
from upsampler_bench.figures.palette import Colours, colours
from upsampler_bench.formats import csv as csv_format
from upsampler_bench.formats import latex, markdown, terminal
from upsampler_bench.results import MetricInfo, Reading, Run

# A trace is written of profiles alone: see test_trace.py.
ALL = tuple(name for name in formats.names() if name != "trace")
PICTURES = ("png", "svg", "pdf")
TEXTS = tuple(name for name in ALL if name not in PICTURES)
PRINTED = ("csv", "latex", "markdown", "terminal")
NASTY = "my|o_p&{$^}~\\%#<b>[red]"


def nasty_run() -> Run:
    run = plain_run({"bilinear": FIGURES["bilinear"], NASTY: FIGURES["carafe"], "dysample": FIGURES["dysample"]})
    broken = tuple(
        replace(one, status="failed", reason="a | b\n& [bold]c_d $x$", readings=()) if one.case.mode == "train" else one
        for one in run.measurements
    )
    return replace(run, measurements=broken)


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no format 'cvs'; did you mean 'csv'"):
        formats.write(report.from_run(sample_run()), tmp_path, ["markdown", "cvs"])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_format_writes_the_same_bytes_each_time(name: str, tmp_path: Path) -> None:
    made = report.from_run(sample_run())
    written = formats.write(made, tmp_path / "new", [name, name])
    assert len(set(written)) == len(written) > 0
    assert {path.name: path.read_bytes() for path in written} == formats.get(name).files(made)
    assert all(path.stat().st_size for path in written)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("run", [nasty_run(), Run(ENVIRONMENT, Settings(), METRICS, ())], ids=["nasty", "empty"])
def test_every_format_takes_odd_names_and_an_empty_run(name: str, run: Run) -> None:
    formats.get(name).files(report.from_run(run))


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_has_each_operator_the_reasons_and_the_device(name: str) -> None:
    text = " ".join(formats.render(name, report.from_run(sample_run())).replace("\\", "").split())
    assert all(operator in text for operator in FIGURES)
    assert "out of memory: tried to allocate 391.2 MiB" in text
    assert name == "csv" or (ENVIRONMENT.device_name in text and "perf_counter_ns, heap kept" in text)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_not_printed(name: str) -> None:
    with pytest.raises(PlanError, match=f"{name} draws pictures"):
        formats.render(name, report.from_run(sample_run()))


@pytest.mark.parametrize("name", PRINTED)
def test_text_equals_the_golden_file(name: str, golden: Callable[[str, str], None]) -> None:
    for file, content in formats.get(name).files(report.from_run(sample_run())).items():
        golden(file, content.decode())


@pytest.mark.parametrize("name", ["latex", "markdown", "terminal"])
def test_an_interrupted_run_is_named(name: str) -> None:
    assert "interrupted" in formats.render(name, report.from_run(replace(sample_run(), ended="interrupted")))


def test_the_terminal_format_is_plain_and_at_most_80_wide_without_a_terminal() -> None:
    for run in (sample_run(), nasty_run()):
        text = formats.render("terminal", report.from_run(run))
        assert max(map(len, text.splitlines())) <= 80
        assert "\x1b" not in text


def test_columns_without_room_are_in_a_table_below() -> None:
    (table,) = report.from_run(sample_run()).tables
    assert [len(places) for places in terminal.split(table, 300)] == [len(table.shown)]
    first, second = [[table.columns[place].name for place in places] for places in terminal.split(table, 80)]
    assert first == ["latency", "latency_ratio", "inference_memory", "flops_paper", "params_weights"]
    assert {*first, *second} == {table.columns[place].name for place in table.shown}
    text = formats.render("terminal", report.from_run(sample_run()))
    assert text.partition("Compared with the paper")[0].count("dysample-s+ ") == 2
    assert "(mac)" in text


def test_the_csv_is_tidy_with_units_in_its_header() -> None:
    run = plain_run(FIGURES)
    small = tuple(replace(one, case=replace(one.case, height=60)) for one in run.measurements)
    made = report.from_run(replace(run, measurements=(*run.measurements, *small)))
    rows = list(csv.DictReader(io.StringIO(csv_format.show(made))))
    assert len(rows) == 2 * len(FIGURES)
    assert {row["height"] for row in rows} == {"60", "120"}
    assert {"latency_ms", "latency_low_ms", "latency_ratio", "latency_ratio_high", "train_memory_mib"} <= set(rows[0])
    assert list(rows[0])[-3:] == ["status", "reason", "notes"]
    assert float(rows[0]["train_memory_mib"]) == 126.5625


def test_markdown_rows_have_as_many_cells_as_the_header_for_any_name() -> None:
    (table,) = report.from_run(nasty_run()).tables
    counts = {line.replace("\\\\", "").replace("\\|", "").count("|") for line in markdown.rows(table)}
    assert len(counts) == 1


def test_latex_has_a_command_for_what_a_signature_calls_nearly_zero() -> None:
    assert latex._escaped("≈ 0") == r"$\approx$ 0"


def test_latex_is_escaped_and_balanced() -> None:
    text = latex.show(report.from_run(nasty_run()))
    assert r"my\textbar{}o\_p\&\{\$\textasciicircum{}\}\textasciitilde{}\textbackslash{}\%\#" in text
    bare = text.replace("\\\\", "").replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    assert len({line.replace(r"\&", "").count("&") for line in body.splitlines()[1:-1]}) == 1


def test_png_and_svg_hold_the_same_figures_and_conditions_are_told_apart() -> None:
    run = plain_run({name: FIGURES[name] for name in ("bilinear", "dysample")})
    small = tuple(replace(one, case=replace(one.case, height=60)) for one in run.measurements)
    made = report.from_run(replace(run, measurements=(*run.measurements, *small)))
    stems = [{Path(file).stem for file in formats.get(name).files(made)} for name in ("png", "svg")]
    kinds = ("panel", "pareto")
    expected = {f"{kind}-1x256x{size}x120" for kind in kinds for size in (60, 120)}
    assert stems[0] == stems[1] == {*expected, "bubble-1x256x120x120"}


@pytest.mark.slow
def test_pictures_are_what_their_names_say() -> None:
    made = report.from_run(plain_run({name: FIGURES[name] for name in ("bilinear", "dysample")}))
    drawn = {name: one for kind in PICTURES for name, one in formats.get(kind).files(made).items()}
    assert all(one.startswith(b"\x89PNG") for name, one in drawn.items() if name.endswith(".png"))
    for one in (one for name, one in drawn.items() if name.endswith(".svg")):
        assert ElementTree.fromstring(one).tag.endswith("svg")
        assert b"<dc:date>" not in one
    for one in (one for name, one in drawn.items() if name.endswith(".pdf")):
        assert one.startswith(b"%PDF")
        assert b"CreationDate" not in one
        # Type 3 letters are refused by journals.
        assert b"/FontFile2" in one
        assert b"/Type3" not in one


def test_no_two_operators_of_a_report_have_one_colour() -> None:
    own = [f"{family}{variant}" for family in ("mine", "theirs", "ours", "it", "x") for variant in ("", "-b", "-large")]
    names = [*FIGURES, *own, *(f"new{number}" for number in range(20)), "dysample[groups=1]", "dysample[groups=8]"]
    given = Colours(names)
    assert len({given[name] for name in names}) == len(set(names))
    assert {given[name] for name in ("dysample", "carafe")} == {Colours()[name] for name in ("dysample", "carafe")}
    assert given["mine · torch"] == given["mine"] != given["mine · triton"]


def test_an_operator_has_one_colour_in_all_pictures_and_on_the_page() -> None:
    run = plain_run(dict.fromkeys(("bilinear", "mine", "theirs"), FIGURES["dysample"]))
    page = formats.render("html", report.from_run(run))
    given = colours(report.from_run(run))
    assert len({given[name] for name in ("bilinear", "mine", "theirs")}) == 3
    assert all(f'"name":"{name}","colour":"{given[name]}"' in page for name in given)


@pytest.mark.slow
def test_reports_need_no_torch_and_texts_no_pandas_nor_matplotlib(tmp_path: Path) -> None:
    storage.save(sample_run(), tmp_path)
    script = f"""
import sys
from upsampler_bench import formats, report, storage
made = report.from_run(storage.load({str(tmp_path)!r}))
formats.write(made, {str(tmp_path)!r}, ["csv", "markdown", "latex"])
heavy = {{"torch", "upsamplers", "pandas", "matplotlib", "numpy"}} & set(sys.modules)
assert not heavy, heavy
formats.write(made, {str(tmp_path)!r}, formats.names())
heavy = {{"torch", "upsamplers", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_line_of_a_latex_table_has_as_many_cells_as_its_head() -> None:
    more = [MetricInfo(f"extra_{one}", f"Extra {one}", "1", "inference", exact=True) for one in range(6)]
    run = replace(sample_run(), metrics=(*METRICS, *more))
    run = with_reading(run, run.measurements[0].case, Reading("extra_5", ((1.0,),), "counted"))
    text = formats.render("latex", report.from_run(run)).partition(r"\end{tabular}")[0]
    head = text.split(r"\begin{tabular}{@{}l")[1].split("@{}}")[0]
    rows = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert len(rows) > 12
    assert {line.count(" & ") for line in rows} == {len(head)}


def test_a_figure_of_too_few_rounds_has_no_interval_and_a_footnote() -> None:
    run, case = sample_run(), Case("nearest")
    few = replace(run.measurement(case).reading("latency"), rounds=((0.0123,), (0.0127,)))
    made = report.from_run(with_reading(run, case, few))
    latency = cell(made, "nearest", "latency")
    assert (latency.low, latency.interval) == (None, "")
    assert "fewer than eight rounds" in formats.render("markdown", made)


def test_pictures_of_an_earlier_report_do_not_stay(tmp_path: Path) -> None:
    old = ("panel-1x8x6x5.png", "sweep-size.png")
    kept = ("my-panel.png", "panel-of-mine.png", "report.csv", "panel.csv", "roofline.svg")
    for name in (*old, *kept):
        (tmp_path / name).write_bytes(b"before")
    said: list[str] = []
    formats.write(report.from_run(sample_run()), tmp_path, ["png"], said.append)
    kinds = ("panel", "bubble", "pareto")
    assert said == [f"Drawing {kind}.png, {number} of 3" for number, kind in enumerate(kinds, 1)]
    drawn = {f"{kind}.png" for kind in kinds}
    assert {one.name for one in tmp_path.iterdir()} == {*kept, *drawn}


def test_published_figures_of_an_earlier_report_do_not_stay(tmp_path: Path) -> None:
    (tmp_path / "published.csv").write_bytes(b"before")
    formats.write(report.from_run(plain_run({"bilinear": FIGURES["bilinear"]})), tmp_path, ["png"])
    assert (tmp_path / "published.csv").exists()
    formats.write(report.from_run(plain_run({"mine": FIGURES["bilinear"]})), tmp_path, ["csv"])
    assert not (tmp_path / "published.csv").exists()
