"""A user's own operators in the paper's tables and pictures, with the accuracy that the user gave for them."""

from dataclasses import replace
from pathlib import Path

import pytest
from sample_paper_runs import BASE_FLOPS, BASE_WEIGHTS, PIXELS, bare_run, depth_run, exact, pyramid_run, segformer_run

from upsampler_bench import formats, report
from upsampler_bench.case import Case, Settings
from upsampler_bench.errors import PlanError
from upsampler_bench.paper import accuracy, ours, sections
from upsampler_bench.paper.parts import PublishedCell, PublishedTable
from upsampler_bench.paper.tables import tables
from upsampler_bench.plan import Plan
from upsampler_bench.report.parts import Report
from upsampler_bench.results import Measurement, Run, UpsamplerInfo
from upsampler_bench.runner import session
from upsampler_bench.runner.session import Session

GIVEN = """table,upsampler,figure,ours,why
table4,mine,mIoU (%),43.90,
table4,bilinear,mIoU (%),41.50,my training
table6,mine,AP,38.9,
table6,mine (R101),AP,40.8,
table5,mine (Swin-B),mIoU (%),53.95,
"""


def named(run: Run, *names: str, every: bool = False) -> Run:
    """The run as if its plan named these operators."""
    infos = tuple(UpsamplerInfo(one.case.upsampler) for one in run.measurements)
    return replace(run, plan={"upsampler": ["*"] if every else ["bilinear", *names]}, upsamplers=infos)


def with_mine(run: Run, case: Case, *, weights: float, flops: float = 0.0) -> Run:
    """The run with "mine" in a model."""
    readings = [exact("params_weights", weights), *([exact("flops_paper", flops)] if flops else [])]
    return named(run.with_measurement(Measurement(case, readings=tuple(readings))), "mine")


def paper_runs() -> list[Run]:
    """Every section with "mine" in it."""
    bare = {"bilinear": 1.0, "carafe": 4.0, "mine": 2.5, "theirs": 2.6}
    segformer = Case("mine", channels=3, height=512, width=512, model="segformer-b1")
    pyramid = Case("mine", channels=3, height=800, width=1216, model="fpn-r50")
    return [
        named(bare_run(bare), "mine", "theirs"),
        with_mine(segformer_run(), segformer, weights=BASE_WEIGHTS + 12_288, flops=BASE_FLOPS + PIXELS * 20_000),
        with_mine(pyramid_run("fpn-r50"), pyramid, weights=32_100_000 + 250_000),
        with_mine(depth_run(), Case("mine", model="depthformer-swin-t"), weights=41_000_000 + 1_000),
    ]


def with_accuracy(runs: list[Run], path: Path) -> list[Run]:
    path.write_text(GIVEN, encoding="utf-8")
    given = accuracy.read(path, ("bilinear", "carafe", "mine", "theirs"))
    return [replace(run, upsamplers=accuracy.attached(run.upsamplers, given)) for run in runs]


def table(found: tuple[PublishedTable, ...], name: str) -> PublishedTable:
    return next(one for one in found if one.name == name)


def cell(found: PublishedTable, row: str, figure: str) -> PublishedCell:
    return next(one for one in found.rows if one.name == row).cell(figure)


def test_every_table_has_a_row_for_an_operator_that_the_run_names() -> None:
    found = tables(paper_runs())
    assert [row.name for row in table(found, "fig1").rows][-2:] == ["mine", "theirs"]
    assert cell(table(found, "fig1"), "mine", "Latency (× bilinear)").our_value == pytest.approx(2.5)
    assert cell(table(found, "table4"), "mine", "GFLOPs").ours == "+0.292"
    assert [cell(table(found, name), "mine", "Params").ours for name in ("table4", "table6", "table9")] == [
        *("+12.29K", "+0.250M", "+1.00K")
    ]
    assert all(one.verdict == "" for made in found for row in made.rows if row.name == "mine" for one in row.cells)


def test_without_a_model_what_an_operator_adds_is_derived_from_the_bare_one() -> None:
    found = tables([named(bare_run({"bilinear": 1.0, "carafe": 4.0, "mine": 2.5}), "mine")])
    assert cell(table(found, "table4"), "mine", "Params").our_value == 6 * 2048


def test_a_wildcard_over_everything_adds_no_rows() -> None:
    run = bare_run({"bilinear": 1.0, "carafe": 4.0, "mine": 2.5, "dysample-naive": 2.0})
    assert ours.added([named(run, every=True)]) == ()
    assert ours.added([named(run, "m*", "dysample-naive", "carafe")]) == ("mine",)


def test_what_a_user_trained_is_in_the_tables_beside_what_is_published(tmp_path: Path) -> None:
    found = tables(with_accuracy(paper_runs(), tmp_path / "given.csv"))
    own = cell(table(found, "table4"), "mine", "mIoU (%)")
    assert (own.published, own.ours, own.verdict) == ("", "43.90", "")
    theirs = cell(table(found, "table4"), "bilinear", "mIoU (%)")
    assert (theirs.published, theirs.ours, theirs.verdict) == ("41.68", "41.50", "needs training")
    assert cell(table(found, "table6"), "mine (R101)", "AP").ours == "40.8"
    assert cell(table(found, "table5"), "mine (Swin-B)", "mIoU (%)").ours == "53.95"


def own_report(tmp_path: Path) -> Report:
    return report.from_runs(with_accuracy(paper_runs(), tmp_path / "given.csv"))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("markdown", "| mine | +0.292 | +12.29K | 43.90 | – |"),
        ("markdown", "| bilinear | 15.9 → "),
        ("latex", r"mine & -- & +0.292 & -- & +12.29K & -- & 43.90 & -- \\"),
        ("csv", ""),
    ],
)
def test_every_text_format_has_the_row(tmp_path: Path, name: str, row: str) -> None:
    made = own_report(tmp_path)
    text = formats.get("csv").files(made)["published.csv"].decode() if name == "csv" else formats.render(name, made)
    assert (row or "table4,mine,mIoU (%),,43.90,,43.9,,,") in text


def test_pictures_have_the_points_of_the_users_mious(tmp_path: Path) -> None:
    pictures = {one.name: one for one in own_report(tmp_path).pictures}
    bubble = pictures["bubble"]
    measured = {point.name: point.y for point in bubble.points if not point.hollow}
    assert measured == {"bilinear": 41.5, "carafe": 42.82, "mine": 43.9}
    assert bubble.y.title == "mIoU"
    assert "mIoU of bilinear, mine: given by the user." in bubble.caption
    assert "No published mIoU: theirs." in bubble.caption


def test_the_page_ranks_by_the_users_mious_and_says_so(tmp_path: Path) -> None:
    made = own_report(tmp_path)
    mious = {one.name: one.miou for one in made.operators}
    assert (mious["mine"], mious["theirs"]) == (43.9, None)
    assert made.miou[0] == "mIoU as published (SegFormer-B1 on ADE20K, Table 4), or given by the user"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("table3,mine,AP,38.9", "no table 'table3'; expected table4"),
        ("table4,mine,GFLOPs,0.3", "table4 has no figure 'GFLOPs' that needs training; expected mIoU"),
        ("table4,mien,mIoU (%),43.9", "'mien' is not measured; did you mean 'mine'?"),
        ("table4,mine,mIoU (%),high", "mIoU .%. is 'high'; expected a number"),
        ("table4,mine,mIoU (%),", "expected a number"),
        ("table4,mine,mIoU (%),-3", "expected a number from 0 to 100"),
        ("table6,mine,AP,439", "expected a number from 0 to 100"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "given.csv").write_text(f"table,upsampler,figure,ours\n{line}\n")
    with pytest.raises(PlanError, match=f"given.csv line 2: .*{message}"):
        accuracy.read(tmp_path / "given.csv", ("bilinear", "mine"))


def test_a_figure_that_is_given_twice_is_refused_and_spaces_do_not_matter(tmp_path: Path) -> None:
    lines = ["table, upsampler, figure, ours", "table4, mine, mIoU (%), 43.9", "table4,mine,mIoU (%),44.9"]
    (tmp_path / "given.csv").write_text("\n".join(lines[:2]))
    assert [one.text for one in accuracy.read(tmp_path / "given.csv", ("mine",))] == ["43.9"]
    (tmp_path / "given.csv").write_text("\n".join(lines))
    with pytest.raises(PlanError, match=r"given.csv line 3: line 2 has mIoU \(%\) of mine in table4 already"):
        accuracy.read(tmp_path / "given.csv", ("mine",))


def test_a_file_that_lacks_a_column_or_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "given.csv").write_text("upsampler,miou\nmine,43.9\n")
    with pytest.raises(PlanError, match="lacks the column 'table'; expected table,upsampler,figure,ours"):
        accuracy.read(tmp_path / "given.csv", ("mine",))
    with pytest.raises(PlanError, match="cannot read"):
        accuracy.read(tmp_path / "none.csv", ("mine",))


def test_a_stored_section_is_reused_if_its_plugins_are_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    planned = []

    def prepare(plan: Plan, *_: object, **__: object) -> Session:
        planned.append(plan.upsampler)
        return Session((Case("mine"),), Settings(), plan={"plugins": ["my.py 2"]} if plan.plugin else {})

    monkeypatch.setattr(session, "prepare", prepare)
    monkeypatch.setattr(session, "differing", lambda run, keys, *_: [key for key in keys if run.plan[key] != keys[key]])
    run = bare_run({"mine": 1.0})
    for section, version, is_reused in (("model", 1, False), ("model", 2, True), ("ablation", 1, True)):
        stored = [(tmp_path, replace(run, plan={"plugins": [f"my.py {version}"]}))]
        _, found = sections.prepare(section, {"plugin": ["my.py"]}, ["mine"], stored, [])
        assert (found is not None, "mine" in planned[-1]) == (is_reused, section == "model")
    with pytest.raises(PlanError, match="adds no row by itself; expected its operators too: -u NAME"):
        sections.prepare("model", {"plugin": ["my.py"]}, [], [], [])
