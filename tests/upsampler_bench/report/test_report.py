from dataclasses import replace

import pytest
from report_reading import FEW, cell, columns, row, with_reading
from sample_run import ENVIRONMENT, FIGURES, METRICS, also_on_triton, plain_run, sample_run

from upsampler_bench import report
from upsampler_bench.case import Case, Settings
from upsampler_bench.formats import render
from upsampler_bench.report.parts import Cell
from upsampler_bench.results import THROTTLED, MetricInfo, Reading, Run


def test_both_modes_of_an_operator_are_one_row_in_run_order() -> None:
    made = report.from_run(sample_run())
    assert [row.name for row in made.tables[0].rows] == list(FIGURES)
    assert cell(made, "deconv", "latency").value == pytest.approx(222.4, rel=0.01)
    assert cell(made, "deconv", "train_latency").value == pytest.approx(700.3, rel=0.01)


def test_numbers_are_in_the_units_that_the_columns_name() -> None:
    made = report.from_run(sample_run())
    units = {column.name: column.unit for column in made.tables[0].columns}
    assert (units["latency"], units["inference_memory"], units["flops_mac"]) == ("ms", "MiB", "GFLOPs")
    assert cell(made, "bilinear", "inference_memory").value == 56.25
    assert cell(made, "bilinear", "flops_mac").value == pytest.approx(0.0589824)
    assert cell(made, "pixel-shuffle", "params_all").text == "2,360,320"


def test_a_relative_metric_has_its_paired_ratio_with_its_interval_next_to_it() -> None:
    run = sample_run()
    made, ratio = report.from_run(run), run.ratio(Case("dysample"), "latency")
    assert ratio is not None
    shown = cell(made, "dysample", "latency_ratio")
    assert (shown.value, shown.low, shown.high) == (ratio.value, ratio.low, ratio.high)
    assert columns(made)[:2] == ["latency", "latency_ratio"]
    assert "–" in shown.interval
    assert cell(made, "bilinear", "latency_ratio") == Cell("1", 1.0)
    assert "inference_memory_ratio" not in columns(made)


def test_percentiles_are_of_raw_samples_and_need_enough_of_them() -> None:
    run, case = plain_run(FEW), Case("carafe")
    samples = tuple(tuple((10.0 * round + place) / 1e3 for place in range(10)) for round in range(6))
    made = report.from_run(with_reading(run, case, Reading("latency", (samples[0][1:], *samples[1:]), "m")))
    assert cell(made, "carafe", "latency_p50").value == 30
    assert cell(made, "carafe", "latency_p95").value == 57
    assert cell(made, "carafe", "latency_p99").value is None
    fewer = report.from_run(with_reading(run, case, Reading("latency", (samples[0][2:], *samples[1:]), "m")))
    assert cell(fewer, "carafe", "latency_p95").value is None


def test_throughput_is_the_batch_over_the_time_of_one_call() -> None:
    single = plain_run(FEW)
    batched = tuple(replace(one, case=replace(one.case, batch=16)) for one in single.measurements)
    made = report.from_run(replace(single, measurements=batched))
    latency, throughput = cell(made, "carafe", "latency"), cell(made, "carafe", "throughput")
    assert throughput.value == pytest.approx(16 / (latency.value / 1e3))
    assert throughput.low == pytest.approx(16 / (latency.high / 1e3))
    details = {column.name: column.detail for column in made.tables[0].columns}
    assert not details["throughput"]
    assert not details["train_throughput"]
    # At batch 1 it is only another form of the time: for machines.
    assert {column.name: column.detail for column in report.from_run(single).tables[0].columns}["throughput"]


def test_the_host_bounds_a_call_that_it_submits_slower_than_the_device_works_it_off() -> None:
    run = replace(plain_run(FEW), metrics=(*METRICS, MetricInfo("launch", "Launch", "s", "inference")))
    for name, seconds in (("carafe", 0.2), ("dysample", 0.001)):
        run = with_reading(run, Case(name), Reading("launch", ((seconds,),), "m"))
    made = report.from_run(run)
    bounds = [cell(made, name, "latency_bound_by").text for name in ("carafe", "dysample", "bilinear")]
    assert bounds == ["host", "device", "–"]
    assert "latency_bound_by" not in columns(report.from_run(plain_run(FEW)))
    assert "Bound by" in dict(made.legend)


def test_a_failure_keeps_its_row_with_the_reason_and_what_was_measured() -> None:
    made = report.from_run(sample_run())
    carafe, mine = row(made, "carafe"), row(made, "mine")
    assert (carafe.status, carafe.reason[:21]) == ("failed", "train: out of memory:")
    assert cell(made, "carafe", "latency").value
    assert cell(made, "carafe", "train_memory").text == "failed"
    assert mine.reason == "output has shape (1, 256, 240, 239), expected (1, 256, 240, 240)"
    assert [row.name for row in made.tables[0].incomplete] == ["bicubic", "carafe", "mine"]


def test_a_new_metric_gets_its_column_and_one_without_readings_gets_none() -> None:
    infos = (MetricInfo("warmth", "Warmth", "K", "inference"), MetricInfo("noise", "Noise", "dB", "inference"))
    run = replace(plain_run(FEW), metrics=(*METRICS, *infos))
    made = report.from_run(with_reading(run, Case("carafe"), Reading("warmth", ((2.5, 2.6),), "a meter")))
    assert "warmth" in columns(made)
    assert "noise" not in columns(made)
    assert cell(made, "carafe", "warmth").value == pytest.approx(2.55)
    assert cell(made, "dysample", "warmth").text == "–"


def test_a_column_without_a_value_says_why_it_is_empty() -> None:
    run = replace(plain_run(FEW), metrics=(*METRICS, MetricInfo("energy", "Energy", "J", "inference")))
    for name in FEW:
        run = with_reading(run, Case(name), Reading("energy", (), "no counter", notes=("no counter here",)))
    made = report.from_run(run)
    empty = cell(made, "carafe", "energy")
    assert (empty.text, empty.value) == ("–", None)
    assert dict(made.footnotes)[empty.marks[0]] == "no counter here"
    assert "Energy: no counter here" in render("csv", made)


def test_throttling_marks_a_time_and_its_ratio_and_other_disturbances_the_time_alone() -> None:
    run, case = plain_run(FEW), Case("carafe")
    reading = run.measurement(case).reading("latency")
    notes = ("disturbed: other processes were busy", f"{THROTTLED}: CPU quota of 0.5 cores")
    made = report.from_run(with_reading(run, case, replace(reading, notes=notes)))
    texts = dict(made.footnotes)
    assert [texts[mark] for mark in cell(made, "carafe", "latency").marks] == list(notes)
    assert [texts[mark] for mark in cell(made, "carafe", "latency_ratio").marks] == [notes[1]]
    assert cell(made, "dysample", "latency_ratio").marks == ()


def test_a_reading_without_samples_or_without_a_finite_value_is_none() -> None:
    run = with_reading(plain_run(FEW), Case("carafe"), Reading("latency", ((),), "m"))
    run = with_reading(run, Case("dysample"), Reading("latency", ((float("nan"),),), "m"))
    made = report.from_run(run)
    assert [cell(made, name, "latency").value for name in ("carafe", "dysample")] == [None, None]


def test_notes_and_uncounted_operators_become_footnotes_once() -> None:
    note = Reading("latency", ((0.1,),), "m", ("launch-bound",))
    run = with_reading(with_reading(plain_run(FEW), Case("carafe"), note), Case("dysample"), note)
    uncounted = Reading("flops_mac", ((5.0,),), "m", facts={"uncounted": "aten::roll"})
    made = report.from_run(with_reading(run, Case("dysample"), uncounted))
    assert [text for _, text in made.footnotes].count("launch-bound") == 1
    marks = dict(made.footnotes)
    assert marks[cell(made, "carafe", "latency").marks[0]] == "launch-bound"
    assert marks[cell(made, "dysample", "flops_mac").marks[0]] == "not counted: aten::roll"


def test_device_versions_input_protocol_and_time_are_stated() -> None:
    stated = dict(report.from_run(sample_run()).facts)
    assert ENVIRONMENT.device_name in stated["Device"]
    assert "torch 2.13.0+cpu" in stated["Versions"]
    assert "float32" in stated["Input (B×C×H×W)"]
    assert "Warm-up: 0.1 s" in stated["Protocol"]
    assert "2026-11-21" in stated["When"]


@pytest.mark.parametrize(
    ("ended", "said"), [("complete", ""), ("interrupted", "was interrupted"), ("partial", "is incomplete")]
)
def test_an_incomplete_run_has_a_warning(ended: str, said: str) -> None:
    warning = report.from_run(replace(sample_run(), ended=ended)).warning
    assert said in warning
    assert bool(said) == bool(warning)


def test_each_condition_has_a_table_and_pictures_with_file_names_of_their_own() -> None:
    run = plain_run(FEW)
    small = [replace(one, case=replace(one.case, height=60, dtype="float16")) for one in run.measurements]
    made = report.from_run(replace(run, measurements=(*run.measurements, *small)))
    assert [table.condition["dtype"] for table in made.tables] == ["float32", "float16"]
    assert [one.slug for one in made.pictures if one.name == "panel"] == ["1x256x120x120", "1x256x60x120"]
    assert cell(made, "dysample", "latency_ratio", table=1).value


THREE = {"carafe": FIGURES["carafe"], **FEW}


def test_an_operators_backends_are_rows_together_each_with_its_speed_up_over_torch() -> None:
    run = also_on_triton(plain_run(THREE), {"carafe": FIGURES["dysample"]})
    made = report.from_run(run)
    rows = made.tables[0].rows
    assert [row.name for row in rows] == ["carafe · torch", "carafe · triton", "bilinear · torch", "dysample · torch"]
    assert [(row.operator, row.backend) for row in rows[:2]] == [("carafe", "torch"), ("carafe", "triton")]
    gained, ratio = cell(made, "carafe · triton", "latency_speedup"), cell(made, "carafe · triton", "latency_ratio")
    expected = cell(made, "carafe · torch", "latency_ratio").value / ratio.value
    assert gained.value == pytest.approx(expected, rel=0.02)
    assert gained.low < gained.value < gained.high
    assert gained.text.startswith("10.")
    assert cell(made, "carafe · torch", "latency_speedup").value is None
    assert "latency_speedup" not in columns(report.from_run(plain_run(FEW)))
    meaning = dict(made.legend)["/ bilinear"]
    assert "that of bilinear on torch in the same round" in meaning


def test_ratios_are_to_bilinear_on_torch_else_to_bilinear_on_the_rows_own_backend() -> None:
    faster = {"bilinear": FIGURES["nearest"], "carafe": FIGURES["carafe"]}
    made = report.from_run(also_on_triton(plain_run(THREE), faster))
    assert [row.name for row in made.tables[0].rows if row.baseline] == ["bilinear · torch"]
    assert cell(made, "bilinear · triton", "latency_ratio").value == pytest.approx(8.6 / 9.1, rel=0.02)
    alone = plain_run(faster)
    alone = replace(alone, measurements=tuple(replace(one, case=one.case.on("triton")) for one in alone.measurements))
    made = report.from_run(alone)
    assert cell(made, "bilinear", "latency_ratio").text == "1"
    assert cell(made, "carafe", "latency_ratio").value == pytest.approx(131.6 / 8.6, rel=0.02)
    assert made.tables[0].title.endswith("backend triton; 95 % intervals within one process")


def test_a_deviation_is_one_number_without_an_interval_in_powers_of_ten() -> None:
    run = also_on_triton(plain_run(THREE), {"carafe": FIGURES["dysample"]})
    run = replace(run, metrics=(*run.metrics, MetricInfo("deviation", "Deviation", "error", "inference")))
    run = with_reading(run, Case("carafe", backend="triton"), Reading("deviation", ((2.5e-7,),), "compared"))
    made = report.from_run(run)
    assert [cell(made, f"carafe · {name}", "deviation").text for name in ("triton", "torch")] == ["2.5e-07", "–"]
    assert "rounds" not in str(made.footnotes)
    assert "deviation" not in [chart.name for chart in made.pictures[0].charts]


def test_without_the_baseline_there_is_no_ratio_and_no_dashed_line() -> None:
    made = report.from_run(plain_run({"carafe": FIGURES["carafe"], "dysample": FIGURES["dysample"]}))
    assert "latency_ratio" not in columns(made)
    assert all(chart.baseline is None for chart in made.pictures[0].charts)


def test_a_run_without_measurements_has_a_report() -> None:
    made = report.from_run(Run(ENVIRONMENT, Settings(), METRICS, ()))
    assert (made.tables, made.pictures) == ((), ())
    assert made.warning


def test_the_panel_shows_the_six_figures_of_the_paper_in_its_order() -> None:
    charts = report.from_run(sample_run()).pictures[0].charts
    expected = ["latency", "inference_memory", "train_memory", "train_latency", "flops_paper", "params_weights"]
    assert [chart.name for chart in charts] == expected
    assert all([bar.name for bar in chart.bars] == list(FIGURES) for chart in charts)


def test_additive_metrics_are_drawn_as_additions_and_failures_as_empty_slots() -> None:
    charts = {chart.name: chart for chart in report.from_run(sample_run()).pictures[0].charts}
    bars = {bar.name: bar for bar in charts["params_weights"].bars}
    assert (bars["dysample"].text, bars["bilinear"].text) == ("+8,192", "0")
    assert (bars["mine"].value, bars["mine"].text) == (None, "failed")
    assert charts["flops_paper"].axis == "GFLOPs added to bilinear, log scale"


def test_one_very_large_bar_makes_the_axis_logarithmic_and_the_axis_says_so() -> None:
    charts = {chart.name: chart for chart in report.from_run(sample_run()).pictures[0].charts}
    assert (charts["latency"].log, charts["latency"].axis) == (True, "ms, log scale")
    assert (charts["inference_memory"].log, charts["inference_memory"].axis) == (False, "MiB")


def test_the_bubble_names_who_has_no_published_quality_and_who_was_not_measured() -> None:
    run = plain_run(FIGURES)
    (gone,) = [one for one in run.measurements if one.case == Case("carafe")]
    run = run.with_measurement(replace(gone, status="failed", reason="no", readings=()))
    (bubble,) = [one for one in report.from_run(run).pictures if one.name == "bubble"]
    assert {point.name for point in bubble.points if not point.hollow} == {
        *("bilinear", "deconv", "pixel-shuffle", "dysample", "dysample+", "dysample-s", "dysample-s+")
    }
    assert "No published mIoU: nearest, bicubic, dysample-naive, mine." in bubble.caption
    assert "Not measured: carafe." in bubble.caption
    assert bubble.y.label == "Published mIoU (%)"


def test_a_fact_whose_text_has_its_name_is_not_named_twice() -> None:
    run = sample_run()
    machine = {"libc": "glibc 2.36", "heap": "kept heap", "cores": "2"}
    where = replace(run.environment, machine=machine)
    assert dict(report.from_run(replace(run, environment=where)).facts)["Machine"] == "glibc 2.36, kept heap, cores 2"
