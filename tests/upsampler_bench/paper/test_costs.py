"""The cost columns of Tables 4, 6, 8 and 9 compared with ours: every cell, and the notes on how it was counted."""

from dataclasses import replace

import pytest
from sample_paper_runs import (
    BASE_WEIGHTS,
    COSTS,
    bare_run,
    depth_run,
    exact,
    failed,
    paper_run,
    pyramid_run,
    segformer_run,
    without,
)

from upsampler_bench import report
from upsampler_bench.case import Case
from upsampler_bench.paper import published
from upsampler_bench.paper.parts import PublishedCell, PublishedTable
from upsampler_bench.paper.tables import summary, tables
from upsampler_bench.results import Measurement, Reading, Run

ROWS = list(published.segformer_b1_ade20k())


def table(name: str, *runs: Run) -> PublishedTable:
    return next(one for one in tables(runs) if one.name == name)


def cell(found: PublishedTable, name: str, figure: str) -> PublishedCell:
    return next(row for row in found.rows if row.name == name).cell(figure)


def costs(run: Run, name: str) -> list[PublishedCell]:
    """GFLOPs and parameters of a row of Table 4."""
    found = table("table4", run)
    return [cell(found, name, figure) for figure in ("GFLOPs", "Params")]


def with_readings(run: Run, name: str, *readings: Reading) -> Run:
    """The run with these readings of an operator in place of its own of the same metrics."""
    (measurement,) = [one for one in run.measurements if one.case.upsampler == name]
    metrics = {reading.metric for reading in readings}
    kept = tuple(reading for reading in measurement.readings if reading.metric not in metrics)
    return run.with_measurement(replace(measurement, readings=(*readings, *kept)))


@pytest.mark.parametrize("batch", [1, 4])
def test_every_cost_of_table_4_is_reproduced_in_the_model(batch: int) -> None:
    found = {row.name: [one.verdict for one in row.cells] for row in table("table4", segformer_run(batch)).rows}
    assert found == {name: ["reproduced", "reproduced", "needs training", "needs training"] for name in ROWS}


def test_without_a_model_the_additions_of_table_4_are_derived_from_bare_operators() -> None:
    run, in_model = bare_run(dict.fromkeys(COSTS, 1.0)), segformer_run()
    assert "derived from the bare operator" in table("table4", run).about
    for name in ROWS:
        expected = "not measured" if name == "bilinear" else "reproduced"
        assert [one.verdict for one in costs(run, name)] == [expected] * 2
        if name != "bilinear":
            assert costs(run, name)[0].our_value == pytest.approx(costs(in_model, name)[0].our_value)


def test_a_cell_has_both_figures_as_printed_and_as_numbers() -> None:
    run = segformer_run()
    deconv, small = costs(run, "deconv")[0], costs(run, "dysample-s")[1]
    assert (deconv.published, deconv.ours, deconv.deviation) == ("+34.4", "+34.43", "+0.1 %")
    assert (deconv.published_value, deconv.our_value) == (34.4, pytest.approx(34.4268, abs=1e-4))
    assert (small.published, small.ours, small.our_value) == ("+6.1K", "+6.14K", 6144)
    assert costs(run, "bilinear")[1].ours == "13.72M"
    quality = PublishedCell("mIoU (%)", "43.21", published_value=43.21, verdict="needs training")
    assert cell(table("table4", run), "dysample", "mIoU (%)") == quality


@pytest.mark.parametrize(
    ("name", "figure", "note"),
    [
        ("bilinear", "GFLOPs", "15.88 without biases"),
        ("deconv", "GFLOPs", "four times what it multiplies; its multiplications (flops_mac) are 8.61 G"),
        ("dysample", "GFLOPs", "grid_sample counted as 11 per element; its multiplications (flops_mac) are 0.179 G"),
        ("indexnet", "GFLOPs", "rounds to +30.6; the authors print +30.65 elsewhere"),
        ("indexnet", "Params", "holistic"),
        ("a2u", "Params", "a downsampling branch"),
        ("fade", "GFLOPs", "compared with fade-gated"),
        ("fade", "Params", "compared with fade-gated"),
    ],
)
def test_a_note_states_how_the_published_figure_was_counted(name: str, figure: str, note: str) -> None:
    assert note in cell(table("table4", segformer_run()), name, figure).why


def test_an_ordinary_cell_has_no_note() -> None:
    assert not costs(segformer_run(), "carafe")[0].why


def test_the_baseline_includes_what_common_tools_count_or_notes_that_it_was_not_recorded() -> None:
    run = segformer_run()
    assert costs(run, "bilinear")[0].our_value == pytest.approx(15.9116, abs=1e-4)
    plain = costs(with_readings(run, "bilinear", exact("flops_paper", 15_878_062_080)), "bilinear")[0]
    assert plain.our_value == pytest.approx(15.8781, abs=1e-4)
    assert "did not count" in plain.why


def test_fade_without_its_gate_differs_with_a_reason() -> None:
    (fade, _) = costs(without(segformer_run(), "fade-gated"), "fade")
    assert (fade.verdict, fade.ours) == ("differs", "+2.62")
    assert fade.why.startswith("rounds to +2.6; ours is without gate")


def test_another_count_differs_with_what_it_rounds_to() -> None:
    more = BASE_WEIGHTS + 700_000
    readings = (exact("flops_paper", 20e9), exact("params_weights", more), exact("params_all", more))
    found = costs(with_readings(segformer_run(), "carafe", *readings), "carafe")
    assert [(one.verdict, one.why) for one in found] == [("differs", "rounds to +4.1"), ("differs", "rounds to +0.7M")]


def test_a_note_names_the_operations_that_were_not_counted() -> None:
    run = segformer_run()
    (flops,) = [reading for one, reading in run.readings() if one.case.upsampler == "carafe"][:1]
    uncounted = replace(flops, facts={"uncounted": "aten::roll"})
    assert costs(with_readings(run, "carafe", uncounted), "carafe")[0].why == "not counted: aten::roll"


def test_a_missing_or_failed_row_is_not_measured_with_a_reason() -> None:
    run = failed(without(segformer_run(), "a2u"), "carafe", "out of\nmemory")
    missing, lost = costs(run, "a2u")[0], costs(run, "carafe")[1]
    assert (missing.verdict, missing.why) == ("not measured", "not in these runs")
    assert (lost.ours, lost.why) == ("", "failed: out of memory")
    assert cell(table("table4", run), "carafe", "mIoU (%)").verdict == "needs training"


def test_without_the_baseline_an_addition_is_not_measured() -> None:
    (carafe, _) = costs(without(segformer_run(), "bilinear"), "carafe")
    assert (carafe.verdict, carafe.why) == ("not measured", "no baseline to subtract: bilinear not in these runs")


def test_a_metric_that_was_not_measured_is_named() -> None:
    run = segformer_run()
    lean = tuple(replace(one, readings=one.readings[2:]) for one in run.measurements)
    flops, params = costs(replace(run, measurements=lean), "carafe")
    assert (flops.why, params.verdict) == ("no flops_paper in these runs", "reproduced")


def test_a_missing_row_is_taken_from_another_run() -> None:
    run = segformer_run()
    assert cell(table("table4", failed(run, "carafe", "no"), run), "carafe", "GFLOPs").verdict == "reproduced"


@pytest.mark.parametrize(("name", "model"), [("table6", "fpn-r50"), ("table8", "fpn-r50-panoptic")])
@pytest.mark.parametrize("baseline", ["nearest", "bilinear"])
def test_all_additions_to_a_feature_pyramid_are_reproduced_and_its_baseline_differs(
    name: str, model: str, baseline: str
) -> None:
    found = table(name, pyramid_run(model, baseline))
    verdicts = {row.name: cell(found, row.name, "Params").verdict for row in found.rows}
    assert verdicts.pop("nearest") == "differs"
    assert verdicts.pop("nearest (R101)") == "not measured"
    assert set(verdicts.values()) == {"reproduced"}
    base = cell(found, "nearest", "Params").why
    assert "without the detection heads" in base
    assert ("with bilinear, which has no parameters either" in base) == (baseline == "bilinear")


def test_parameters_that_do_not_round_to_the_printed_digits_say_how_they_give_them() -> None:
    six, eight = table("table6", pyramid_run("fpn-r50")), table("table8", pyramid_run("fpn-r50-panoptic"))
    assert cell(six, "dysample", "Params").why == "rounds to +32.8K, cut off as the paper prints it"
    assert "with biases and norms (52,416) it is the printed figure" in cell(eight, "sapa-b", "Params").why
    assert "does not depend on the backbone" in cell(six, "dysample+ (R101)", "Params").why


def test_table_9_compares_parameters_in_k_and_m_and_quotes_the_rest() -> None:
    found = table("table9", depth_run())
    assert cell(found, "dysample", "Params").verdict == cell(found, "deconv", "Params").verdict == "reproduced"
    assert "HAHI" in cell(found, "bilinear", "Params").why
    assert cell(found, "carafe", "Params").why == "not in these runs"
    # Its stages and guides differ in channels, so FADE has no gate.
    assert (cell(found, "fade", "Params").verdict, cell(found, "fade", "Params").why) == ("reproduced", "")
    assert (found.count("needs training"), len(found.figures)) == (12 * 8, 9)


def test_tables_that_are_only_quoted_are_shown_with_their_models() -> None:
    runs = [pyramid_run("fpn-r50"), paper_run(Measurement(Case("nearest", model="maskformer-swin-b")))]
    seven, five = table("table7", *runs), table("table5", *runs)
    assert (seven.count("needs training"), len(seven.figures)) == (14 * 12, 12)
    assert cell(seven, "dysample+ (R101)", "mask AP").published == "36.8"
    assert cell(five, "dysample-s+ (Swin-L)", "mIoU (%)").published == "54.90"


def test_tables_are_in_the_papers_order_and_only_those_that_a_run_measured() -> None:
    bare = bare_run({"bilinear": 1.0, "dysample": 3.9})
    assert [one.name for one in tables([depth_run(), segformer_run(), bare])] == ["fig1", "table4", "table9"]
    small = tuple(replace(one, case=replace(one.case, height=24)) for one in bare.measurements)
    assert not tables([replace(bare, measurements=small)])
    assert not tables([])


def test_every_cell_has_a_verdict_and_the_summary_counts_them() -> None:
    made = report.from_runs([segformer_run(), pyramid_run("fpn-r50")]).published
    cells = [(table, one) for table in made for row in table.rows for one in row.cells]
    assert {one.verdict for _, one in cells} == {"reproduced", "differs", "needs training", "not measured"}
    assert all(one.why for _, one in cells if one.verdict in ("differs", "not measured"))
    assert all(one.figure in table.figures for table, one in cells)
    trained = sum(one.count("needs training") for one in made)
    assert summary(made) == (
        f"36 of 38 comparable cells are reproduced. Differ: 1. Not measured: 1. Need training: {trained}."
    )
    alone = summary([table("table4", segformer_run())])
    assert alone == "24 of 24 comparable cells are reproduced. Need training: 24."
