import math
from dataclasses import replace

import pytest
from report_reading import FEW, with_reading
from sample_pictures import COPY, MODEL, PRODUCTS, TWELVE, bounded_run, model_run, swept_run
from sample_run import FIGURES, also_on_triton, plain_run, sample_run

from upsampler_bench import report
from upsampler_bench.case import Case
from upsampler_bench.paper import published
from upsampler_bench.report.pictures import Panel, Picture, Plane, Point
from upsampler_bench.report.pictures._numbers import axis
from upsampler_bench.report.pictures.pareto import front
from upsampler_bench.report.pictures.sweep import slope
from upsampler_bench.results import FAILED, MetricInfo, Reading, Run

MINUS = "−"


def pictures(*runs: Run) -> dict[str, Picture]:
    """All pictures by the stem of their file."""
    return {"-".join(filter(None, (one.name, one.slug))): one for one in report.from_runs(runs).pictures}


def charts(panel: Panel) -> dict[str, dict]:
    return {chart.name: {bar.name: bar for bar in chart.bars} for chart in panel.charts}


def measured(plane: Plane) -> dict[str, Point]:
    return {point.name: point for point in plane.points if not point.hollow}


def rings(plane: Plane) -> dict[str, Point]:
    return {point.name: point for point in plane.points if point.hollow}


def fronts(plane: Plane) -> list[list[str]]:
    """The operators on each of the two staircases."""
    at = {(point.x, point.y): point.name for point in plane.points}
    return [[at[place] for place in line.points] for line in plane.lines]


def curves(plane: Plane) -> dict[str, tuple[str, list[float]]]:
    """Of each curve its text in the legend and its sizes."""
    return {line.name: (line.legend, [x for x, _ in line.points]) for line in plane.lines}


def test_the_model_panel_shows_additions_with_their_sign_and_the_baselines_total() -> None:
    panel = pictures(model_run())["panel"]
    found = charts(panel)
    assert list(found) == ["latency", "train_memory", "train_latency", "flops_paper", "params_weights", "miou"]
    memory = found["train_memory"]
    assert (memory["deconv"].value, memory["deconv"].text) == (pytest.approx(284), "+284")
    assert (memory["nearest"].value, memory["nearest"].text) == (pytest.approx(-16), f"{MINUS}16")
    assert (memory["bilinear"].value, memory["bilinear"].text) == (0, "940")
    assert (memory["carafe"].value, memory["carafe"].text) == (None, "failed")
    assert found["flops_paper"]["nearest"].text.startswith(MINUS)
    assert all(list(bars) == list(TWELVE) for bars in found.values())


def test_a_timed_addition_is_the_ratio_less_one_times_the_baseline_with_its_interval() -> None:
    added = charts(pictures(model_run())["panel"])["latency"]
    for name in ("nearest", "carafe", "pixel-shuffle"):
        bar = added[name]
        assert bar.interval[0] < bar.value < bar.interval[1]
        # Made up as 20 ms times the cost beyond bilinear's, in rounds up to a tenth slower.
        assert bar.value == pytest.approx(1.05 * 20 * (TWELVE[name] - 1), rel=0.1)
    assert added["nearest"].interval[1] < 0 < added["carafe"].interval[0]
    assert added["bilinear"].interval is None


def test_an_addition_of_other_rounds_has_no_interval() -> None:
    run, case = model_run(), Case("carafe", **MODEL)
    measured = run.measurement(case)
    other = tuple(replace(one, method="another clock") for one in measured.readings)
    bar = charts(pictures(run.with_measurement(replace(measured, readings=other)))["panel"])["latency"]["carafe"]
    assert bar.interval is None
    assert bar.value == pytest.approx(44, rel=0.2)


def test_the_model_panel_takes_the_latency_of_the_operators_alone_where_the_runs_hold_it() -> None:
    found = pictures(model_run(), plain_run(FIGURES))
    (panel,) = [one for name, one in found.items() if name.startswith("panel") and "segformer" in name]
    assert "operator alone" in panel.charts[0].title
    bars = charts(panel)["latency"]
    assert bars["dysample"].value == pytest.approx(12.4, rel=0.02)
    assert (bars["sapa-b"].value, bars["sapa-b"].text) == (None, "not measured")
    assert "train_latency" in charts(panel)


def test_the_model_panel_prints_the_published_quality_as_it_is() -> None:
    panel = pictures(model_run())["panel"]
    miou = panel.charts[-1]
    assert (miou.title, miou.dots, miou.baseline) == ("Published mIoU", True, 41.68)
    assert charts(panel)["miou"]["dysample-s+"].text == "43.58"
    assert charts(panel)["miou"]["nearest"].text == "not published"
    assert "not measured here" in panel.caption


def test_another_model_has_no_published_quality() -> None:
    run = model_run()
    other = tuple(replace(one, case=replace(one.case, model="mine")) for one in run.measurements)
    assert "miou" not in charts(pictures(replace(run, measurements=other))["panel"])


def test_a_model_without_its_baseline_is_drawn_as_measured() -> None:
    run = model_run()
    kept = tuple(one for one in run.measurements if one.case.upsampler != "bilinear")
    panel = pictures(replace(run, measurements=kept))["panel"]
    assert charts(panel)["train_memory"]["deconv"].value == pytest.approx(1224)


def test_the_bubble_shows_measured_and_published_latency_as_ratios_to_bilinear() -> None:
    run = plain_run(FIGURES)
    bubble = pictures(run)["bubble"]
    ours, theirs = measured(bubble), rings(bubble)
    ratio = run.ratio(Case("dysample"), "latency")
    assert (ours["dysample"].x, ours["dysample"].x_interval) == (ratio.value, (ratio.low, ratio.high))
    assert theirs["dysample"].x == pytest.approx(6.2 / 1.6)
    assert ours["bilinear"].x == theirs["bilinear"].x == 1
    assert theirs["carafe"].size == 1.5
    assert ours["carafe"].size == pytest.approx(99584 * 14400 / 1e9)
    assert theirs["carafe"].x_interval[1] == pytest.approx(12.7 / 1.6)
    known = published.segformer_b1_ade20k()
    assert all(one.y == float(known[one.name]["miou"]) for one in bubble.points)
    assert "No published mIoU: nearest, bicubic, dysample-naive, mine." in bubble.caption


def test_pictures_show_each_backend_of_an_operator_and_join_each_to_the_published_latency() -> None:
    made = pictures(also_on_triton(plain_run(FIGURES), {"carafe": FIGURES["dysample"]}))
    bubble = made["bubble"]
    ours, ring = measured(bubble), rings(bubble)["carafe"]
    both = [ours["carafe · torch"], ours["carafe · triton"]]
    assert both[0].x > 5 * both[1].x
    assert {one.y for one in both} == {ring.y}
    joined = {line.name: line.points for line in bubble.lines}
    assert all(joined[one.name] == ((one.x, one.y), (ring.x, ring.y)) for one in both)
    assert "Not measured" not in bubble.caption
    assert made["panel"].baseline == "bilinear · torch"
    assert {"carafe · torch", "carafe · triton"} <= set(charts(made["panel"])["latency"])


def test_backends_are_drawn_within_operators_with_their_speed_up_over_torch() -> None:
    panel = pictures(also_on_triton(plain_run(FIGURES), {"carafe": FIGURES["dysample"]}))["backends"]
    assert panel.legend == ("torch", "triton")
    found, times = charts(panel), panel.charts[0]
    speedup = found["latency_speedup"]
    assert speedup["carafe · torch"].value == 1
    expected = found["latency"]["carafe · torch"].value / found["latency"]["carafe · triton"].value
    assert speedup["carafe · triton"].value == pytest.approx(expected, rel=0.05)
    place = [bar.name for bar in times.bars].index("carafe · triton")
    assert times.places[place] - times.places[place - 1] == 1
    assert times.places[place + 1] - times.places[place] > 1.5
    assert times.labels.count("carafe") == 1
    assert "backends" not in pictures(plain_run(FIGURES))


def test_the_bubble_is_of_the_papers_shape_alone() -> None:
    assert "bubble" not in pictures(swept_run((64,)))
    assert "bubble" not in pictures(model_run())


def test_the_front_is_what_no_point_beats() -> None:
    points = [Point("a", 1, 9), Point("b", 2, 5), Point("c", 3, 5), Point("d", 4, 1), Point("e", 4, 2)]
    assert [one.name for one in front(points)] == ["a", "b", "d"]
    assert [one.name for one in front([*points, Point("equal", 2, 5)])] == ["a", "b", "equal", "d"]
    assert front([]) == []


def test_the_pareto_picture_names_the_front_of_all_and_that_of_those_with_parameters() -> None:
    pareto = pictures(sample_run())["pareto"]
    assert fronts(pareto) == [["nearest"], ["dysample-naive", "deconv"]]
    assert [point.name for point in pareto.points if point.bold] == ["nearest"]
    assert "Not measured: mine (failed)." in pareto.caption
    assert {one.name for one in pareto.points} == set(FIGURES) - {"mine"}


def test_energy_has_a_front_of_its_own_where_it_was_measured() -> None:
    run = plain_run(FEW)
    assert "energy" not in pictures(run)
    run = replace(run, metrics=(*run.metrics, MetricInfo("energy", "Energy", "J", "inference", relative=True)))
    for name, joules in (("bilinear", 0.2), ("carafe", 0.9), ("dysample", 0.5)):
        run = with_reading(run, Case(name), Reading("energy", ((joules,),), "counter"))
    plane = pictures(run)["energy"]
    assert fronts(plane)[0] == ["bilinear"]
    assert plane.y.label.startswith("Energy (mJ")


def test_in_a_model_those_have_parameters_that_add_some_to_the_baselines() -> None:
    run = model_run()
    for one in run.measurements:
        if weights := one.reading("params_weights"):
            run = with_reading(run, one.case, replace(weights, rounds=((weights.samples[0] + 13.7e6,),)))
    pareto = pictures(run)["pareto"]
    assert fronts(pareto) == [["nearest"], ["dysample-s"]]


def test_a_slope_is_of_least_squares_in_logarithms() -> None:
    assert slope([(x, 3 * x**1.5) for x in (1.0, 2.0, 8.0)]) == pytest.approx(1.5)
    assert slope([(1.0, 1.0), (2.0, 1.0), (4.0, 4.0)]) == pytest.approx(1.0)
    assert slope([(2.0, 5.0)]) is None


def test_a_sweep_over_sizes_has_a_curve_an_operator_and_says_what_failed() -> None:
    found = pictures(swept_run())
    sweep = found["sweep-size"]
    assert {name for name in found if name.startswith("sweep")} == {"sweep-size", "sweep-size-memory"}
    assert [text for _, text in sweep.x.ticks] == ["30²", "60²", "120²", "240²"]
    found = curves(sweep)
    assert set(found) == set(TWELVE)
    assert [point.y_interval is not None for point in sweep.points] == [True] * len(sweep.points)
    assert float(found["carafe"][0].partition("slope ")[2]) == pytest.approx(1, abs=0.02)
    assert found["pixel-shuffle"][1] == [900, 3600, 14400]
    assert "pixel-shuffle (failed at 240²)" in sweep.caption


def test_a_sweep_over_channels_tells_linear_from_quadratic() -> None:
    sweep = pictures(swept_run((64,), (32, 64, 128)))["sweep-channels"]
    slopes = {name: float(text.partition("slope ")[2]) for name, (text, _) in curves(sweep).items()}
    assert slopes["carafe"] == pytest.approx(1, abs=0.05)
    assert slopes["deconv"] == pytest.approx(2, abs=0.05)
    assert "1×C×64×64" in sweep.subtitle


def test_a_size_of_a_sweep_has_pictures_of_its_own_only_where_sweeps_cross_else_at_the_largest() -> None:
    grid = swept_run((30, 60, 120), (32, 64, 128))
    cross = tuple(one for one in grid.measurements if one.case.height == 60 or one.case.channels == 64)
    for run, shape in ((replace(grid, measurements=cross), "1x64x60x60"), (swept_run((30, 60, 120)), "1x256x120x120")):
        slugs = {one.slug for one in report.from_run(run).pictures if one.name != "sweep"}
        assert slugs == {shape}


def test_sizes_of_which_no_sweep_can_be_drawn_have_pictures_of_their_own() -> None:
    run = swept_run((30, 60, 120))
    at_two = tuple(
        one if one.case.height < 120 else replace(one, status=FAILED, readings=()) for one in run.measurements
    )
    found = report.from_run(replace(run, measurements=at_two)).pictures
    assert {one.slug for one in found} == {"1x256x30x30", "1x256x60x60"}


def test_two_sizes_are_no_sweep_and_sizes_of_several_runs_are_one() -> None:
    assert not [name for name in pictures(swept_run((30, 60))) if name.startswith("sweep")]
    runs = [swept_run((size,)) for size in (30, 60, 120)]
    assert len(pictures(*runs)["sweep-size"].x.ticks) == 3


def test_sweeps_that_differ_are_told_apart() -> None:
    found = pictures(swept_run((16, 32, 64), (32, 64, 128)))
    expected = {f"sweep-size-c{count}" for count in (32, 64, 128)}
    expected |= {f"sweep-channels-h{side}" for side in (16, 32, 64)}
    assert expected < set(found)


def test_the_roofline_compares_what_is_reached_with_the_rates_of_the_run() -> None:
    roofline = pictures(bounded_run())["roofline"]
    by = measured(roofline)
    (_, start), (ridge, top), (_, right) = roofline.lines[0].points
    assert (top, right) == (PRODUCTS / 1e9, PRODUCTS / 1e9)
    assert ridge == pytest.approx(PRODUCTS / COPY)
    assert start == pytest.approx(roofline.lines[0].points[0][0] * COPY / 1e9)
    # Latency is made up as (1 + cost) times the roofline time, in rounds up to a tenth slower.
    for name in ("bilinear", "dysample-s+"):
        expected = 1 / (1 + TWELVE[name]) / 1.05
        bound = min(PRODUCTS, by[name].x * COPY) / 1e9
        assert by[name].y / bound == pytest.approx(expected, rel=0.06)
        assert float(by[name].label.split()[1]) / 100 == pytest.approx(expected, rel=0.07)
    assert "nearest" not in by
    assert "Without multiply-adds, as a share of the copy's rate: nearest" in roofline.caption
    assert "Not measured: fade (failed)." in roofline.caption
    assert "dysample: aten::frobnicate" in roofline.caption


def test_an_axis_with_a_zero_is_linear():
    info = MetricInfo("inference_memory", "Memory", "B", "inference")
    assert axis(info, [2.0**20, 2.0**21, 2.0**22, 2.0**30]).log
    assert not axis(info, [0.0, 2.0**20, 2.0**21, 2.0**30]).log


def test_nothing_is_drawn_of_a_run_in_which_all_failed() -> None:
    run = bounded_run()
    lost = tuple(replace(one, status="failed", reason="no", readings=()) for one in run.measurements)
    assert pictures(replace(run, measurements=lost)) == {}


def test_every_number_drawn_is_finite() -> None:
    for one in pictures(bounded_run()).values():
        points = one.points if isinstance(one, Plane) else ()
        assert all(map(math.isfinite, (number for point in points for number in (point.x, point.y, point.size))))
        charts = one.charts if isinstance(one, Panel) else ()
        assert all(map(math.isfinite, (end for chart in charts for end in chart.range)))
