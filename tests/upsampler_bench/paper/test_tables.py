"""Fig. 1 and the ablation compared with bare operators."""

from dataclasses import replace

import pytest
from sample_paper_runs import bare, bare_run
from sample_run import sample_run

from upsampler_bench.case import Case
from upsampler_bench.paper import ours, published
from upsampler_bench.paper.parts import PublishedCell, PublishedRow, PublishedTable
from upsampler_bench.paper.tables import summary, tables
from upsampler_bench.results import Measurement, Reading, Run

RTX = {"device_name": "NVIDIA GeForce RTX 3090", "device_kind": "cuda"}
H200 = {"device_name": "NVIDIA H200", "device_kind": "cuda"}
VARIANTS = [one.upsampler for one in published.ablation()]


def fig1(*runs: Run) -> PublishedTable:
    return next(one for one in tables(runs) if one.name == "fig1")


def cell(found: PublishedTable, name: str) -> PublishedCell:
    return next(row.cells[0] for row in found.rows if row.name == name)


def published_run(factor: float = 1.0, **device: str) -> Run:
    """The published latencies, all times a factor."""
    return bare_run({name: one.ms * factor for name, one in published.latency_rtx3090().items()}, **device)


@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_the_published_ratios_are_reproduced_at_any_speed(factor: float) -> None:
    found = fig1(published_run(factor, **RTX))
    assert found.count("reproduced") == len(found.rows) == 9
    assert cell(found, "dysample") == PublishedCell(
        "Latency (× bilinear)", "3.9 (6.2 ms)", "3.875", 3.875, pytest.approx(3.875), "+0.0 %", "reproduced"
    )


def test_a_difference_within_the_reading_error_is_reproduced() -> None:
    latencies = {"bilinear": 1.6, "dysample": 6.4, "dysample-s": 7.1, "carafe": 14.0}
    found = fig1(bare_run(latencies, **RTX))
    verdicts = [cell(found, name).verdict for name in ("dysample", "dysample-s", "carafe")]
    assert verdicts == ["reproduced", "reproduced", "differs"]
    assert cell(found, "carafe").why == "outside the reading error and our interval"


def test_another_device_neither_reproduces_nor_differs() -> None:
    found = fig1(bare_run({"bilinear": 0.1, "dysample": 0.39, "carafe": 0.3}, **H200))
    for name, ratio in (("dysample", 3.9), ("carafe", 3.0)):
        compared = cell(found, name)
        assert (compared.verdict, compared.why) == ("another device", "NVIDIA H200, not the paper's RTX 3090")
        assert compared.our_value == pytest.approx(ratio)
    assert summary([found]).startswith("0 of 7 comparable cells are reproduced. Not measured: 7. Times of another")
    assert found.about.endswith("Ours: NVIDIA H200.")


def test_of_several_runs_the_one_most_like_the_papers_is_compared() -> None:
    on_cpu, on_gpu, like = published_run(device_name="a CPU"), published_run(2.0, **H200), published_run(3.0, **RTX)
    assert "RTX 3090." in fig1(on_cpu, on_gpu, like).about
    assert fig1(on_cpu, on_gpu).about.endswith("Ours: NVIDIA H200.")
    compiled = replace(
        on_gpu, measurements=tuple(replace(one, case=one.case.on("compile")) for one in on_gpu.measurements)
    )
    assert fig1(compiled, on_cpu).about.endswith("Ours: NVIDIA H200, backend compile.")
    assert fig1(compiled, on_gpu).about.endswith("Ours: NVIDIA H200.")


def test_of_several_backends_of_a_run_torch_is_compared_whatever_comes_first() -> None:
    run = published_run(**RTX)
    slower = published_run(2.0, **RTX).measurements
    both = replace(run, measurements=(*(replace(one, case=one.case.on("auto")) for one in slower), *run.measurements))
    assert fig1(both) == fig1(run)


def test_what_was_not_timed_has_a_reason() -> None:
    run = bare_run({"bilinear": 1.6, "dysample": 6.2}, **RTX)
    run = run.with_measurement(Measurement(Case("carafe"), "failed", "out of memory"))
    run = run.with_measurement(Measurement(Case("fade"), readings=(Reading("latency", ((0.02,),), "a watch"),)))
    found = fig1(run)
    assert cell(found, "carafe").why == "failed: out of memory"
    assert cell(found, "deconv").why == "not in these runs"
    assert cell(found, "fade").why == "timed by another method than bilinear, so no ratio"
    assert {cell(found, name).verdict for name in ("carafe", "deconv", "fade")} == {"not measured"}
    alone = fig1(bare_run({"dysample": 6.2}, **RTX))
    assert cell(alone, "dysample").why == "no ratio: bilinear not in these runs"


def test_a_run_that_timed_nothing_has_no_figure_1() -> None:
    run = published_run(**RTX)
    lean = (replace(one, readings=one.readings[1:]) for one in run.measurements)
    assert [one.name for one in tables([replace(run, measurements=tuple(lean))])] == ["table4"]


def rows(number: int, *runs: Run) -> list[PublishedRow]:
    return list(next(one.rows for one in tables(runs) if one.name == f"table{number}"))


def test_the_ablation_names_dysample_with_options_that_its_class_takes() -> None:
    upsamplers = pytest.importorskip("upsamplers")
    from upsampler_bench.runner import operators

    assert VARIANTS[0] == "dysample[initial_position=nearest,scope_factor=1.0,groups=1]"
    assert VARIANTS[-1] == "dysample[dynamic_scope=true]"
    for row in published.ablation():
        options = operators._options(row.upsampler, row.upsampler.partition("[")[2][:-1])
        made = upsamplers.create("dysample", 64, **options)
        assert (made.groups, made.scope_factor) == (row.groups, row.scope_factor)
        assert (made.scope is not None) == row.dynamic
        assert bool(made.init_pos.any()) == (row.initial_position == "bilinear")


def test_the_plan_of_the_ablation_measures_every_row() -> None:
    from upsampler_bench import plan

    assert set(plan.parse(plan.read("ablation")).upsampler) == {"bilinear", *VARIANTS}


def test_a_registered_name_of_a_row_is_the_same_operator() -> None:
    upsamplers = pytest.importorskip("upsamplers")
    named = [one for one in published.ablation() if one.registered]
    assert [one.registered for one in named] == ["dysample-naive", "dysample", "dysample+"]
    for row in named:
        made = upsamplers.create(row.registered, 64)
        assert (made.groups, made.scope_factor, made.scope is not None) == (row.groups, row.scope_factor, row.dynamic)


def test_the_ablation_has_our_costs_next_to_the_published_quality() -> None:
    made = bare_run({"bilinear": 1.0, **dict.fromkeys(VARIANTS, 2.0)}, **H200)
    found = [one for one in tables([made]) if one.name in ("table1", "table2", "table3")]
    assert [len(one.rows) for one in found] == [2, 4, 4]
    assert all(one.figures == ("mIoU (%)", "AP", "Latency (× bilinear)", "GFLOPs", "Weights") for one in found)
    first = rows(1, made)[0]
    assert first.name == "nearest, static 1, 1 group"
    assert [one.verdict for one in first.cells] == ["needs training", "needs training", "", "", ""]
    assert [one.ours for one in first.cells[2:]] == ["2", "0.200", "2,048"]
    assert rows(3, made)[3].name == "bilinear, dynamic 0.5, 4 groups"


def test_a_row_of_the_ablation_may_be_measured_by_its_registered_name() -> None:
    run = bare_run({"bilinear": 1.0, "dysample": 2.0, VARIANTS[0]: 3.0})
    assert [len(one.cells) for one in rows(1, run)] == [5, 2]
    # Table 3 has a row that is dysample itself, but no variant of it was measured.
    assert {one.name for one in tables([run])} == {"fig1", "table1", "table4"}
    assert not any(one.name == "table1" for one in tables([bare_run({"bilinear": 1.0, "dysample": 2.0})]))
    three = run.with_measurement(bare(VARIANTS[7], 2.5))
    assert [len(one.cells) for one in rows(3, three)] == [2, 5, 5, 2]


@pytest.mark.parametrize(
    ("name", "is_papers"), [("NVIDIA GeForce RTX 3090", True), ("NVIDIA GeForce RTX 3090 Ti", False)]
)
def test_another_gpu_of_a_longer_name_is_not_the_papers(name: str, is_papers: bool) -> None:
    run = sample_run()
    assert ours.is_papers_device(replace(run, environment=replace(run.environment, device_name=name))) == is_papers
