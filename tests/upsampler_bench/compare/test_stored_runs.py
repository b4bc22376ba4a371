"""Two stored runs compared."""

from dataclasses import replace

import pytest
from sample_quality import quality_run
from sample_run import FIGURES, plain_run

from upsampler_bench import formats
from upsampler_bench.case import Case
from upsampler_bench.compare import stored_runs
from upsampler_bench.compare.outcome import Outcome
from upsampler_bench.errors import PlanError


def run(*names):
    return plain_run({name: FIGURES[name] for name in names or ("bilinear", "carafe", "dysample")})


def run_with(metric, factor):
    """The run with one metric of carafe multiplied."""

    def scaled(reading):
        if reading.metric != metric:
            return reading
        return replace(reading, rounds=tuple(tuple(factor * value for value in calls) for calls in reading.rounds))

    measurements = []
    for measurement in run().measurements:
        if measurement.case.upsampler == "carafe":
            measurement = replace(measurement, readings=tuple(map(scaled, measurement.readings)))
        measurements.append(measurement)
    return replace(run(), measurements=tuple(measurements))


def test_a_run_does_not_differ_from_itself():
    comparison = stored_runs.compare(run(), run())
    assert comparison.changes == ()
    assert {pair.verdict for pair in comparison.pairs} == {stored_runs.NO_CHANGE}
    assert stored_runs.outcome(comparison, "inconclusive") == Outcome.FINE


def test_a_deterministic_metric_has_no_tolerance():
    more = run_with("inference_memory", 1.0001)
    comparison = stored_runs.compare(run(), more)
    assert [(pair.operator, pair.info.name) for pair in comparison.changes] == [("carafe", "inference_memory")]
    assert stored_runs.outcome(comparison, "regression") == Outcome.REGRESSION
    assert stored_runs.outcome(comparison, "never") == Outcome.FINE
    assert stored_runs.outcome(comparison, "slower") == Outcome.FINE
    assert stored_runs.outcome(stored_runs.compare(more, run()), "regression") == Outcome.FINE
    text = formats.render("terminal", stored_runs.report(comparison, "old.json", "new.json"))
    assert "Deterministic metrics that changed" in text


@pytest.mark.parametrize(
    ("metric", "factor", "found"),
    [
        ("ramp_shift", 1 + 1e-9, Outcome.FINE), ("ramp_shift", 1.5, Outcome.REGRESSION),
        ("ramp_shift", 0.5, Outcome.FINE),
    ],
)  # fmt: skip
def test_a_signature_may_differ_by_rounding_and_is_worse_further_from_zero(metric, factor, found):
    def scaled(row):
        readings = tuple(
            replace(one, rounds=((one.samples[0] * factor,),)) if one.metric == metric else one for one in row.readings
        )
        return replace(row, readings=readings)

    old = quality_run()
    assert any(row.reading(metric) and row.reading(metric).samples[0] < 0 for row in old.measurements)
    new = replace(old, measurements=tuple(map(scaled, old.measurements)))
    assert stored_runs.outcome(stored_runs.compare(old, new), "regression") == found


def test_equal_backends_are_compared_and_named_where_there_are_several():
    def on_both(factor):
        both = run("bilinear", "carafe")
        others = run_with("inference_memory", factor).measurements
        triton = tuple(replace(one, case=one.case.on("triton")) for one in others if one.case.upsampler == "carafe")
        return replace(both, measurements=(*both.measurements, *triton))

    comparison = stored_runs.compare(on_both(1.0), on_both(2.0))
    assert [pair.operator for pair in comparison.changes] == ["carafe · triton"]
    assert stored_runs.compare(run(), on_both(1.0)).added == tuple(
        Case("carafe", mode, backend="triton").key for mode in ("inference", "train")
    )


def test_timings_of_stored_runs_are_advice():
    comparison = stored_runs.compare(run(), run_with("latency", 1.5))
    assert {pair.operator for pair in comparison.pairs if pair.verdict == stored_runs.WORSE} == {"carafe"}
    assert stored_runs.outcome(comparison, "regression") == Outcome.FINE
    assert stored_runs.outcome(comparison, "inconclusive") == Outcome.INCONCLUSIVE
    assert "worse" in formats.render("markdown", stored_runs.report(comparison, "old.json", "new.json"))


@pytest.mark.parametrize("key", ["device", "torch", "threads"])
def test_runs_that_were_measured_differently_are_refused_with_the_difference(key):
    other = run()
    environment = other.environment
    other = {
        "device": replace(other, environment=replace(environment, device_name="another")),
        "torch": replace(other, environment=replace(environment, versions={**environment.versions, "torch": "9.9"})),
        "threads": replace(other, settings=replace(other.settings, threads=7)),
    }[key]
    with pytest.raises(PlanError, match=f"not comparable: {key}: "):
        stored_runs.compare(run(), other)


def test_runs_that_share_no_case_are_refused():
    with pytest.raises(PlanError, match="share no case"):
        stored_runs.compare(run("carafe"), run("bilinear"))


def test_added_and_removed_operators_are_listed_and_do_not_fail():
    comparison = stored_runs.compare(run("bilinear", "carafe"), run())
    assert comparison.added
    assert all(key.startswith("dysample") for key in comparison.added)
    assert stored_runs.outcome(comparison, "regression") == Outcome.FINE
    assert stored_runs.compare(run(), run("bilinear", "carafe")).removed == comparison.added


def without(one, metric):
    """The run without one metric of carafe."""
    rows = [
        replace(row, readings=tuple(reading for reading in row.readings if reading.metric != metric))
        if row.case.upsampler == "carafe" else row
        for row in one.measurements
    ]  # fmt: skip
    return replace(one, measurements=tuple(rows))


def test_a_deterministic_metric_that_is_no_longer_read_is_a_regression():
    comparison = stored_runs.compare(run(), without(run(), "inference_memory"))
    assert [reason for _, reason in comparison.lost] == ["no inference_memory"]
    assert stored_runs.outcome(comparison, "regression") == Outcome.REGRESSION


def test_times_without_an_interval_give_no_advice():
    def of_one_sample(factor):
        one = run_with("latency", factor)
        rows = [
            replace(row, readings=tuple(replace(reading, rounds=reading.rounds[:1]) for reading in row.readings))
            for row in one.measurements
        ]
        return replace(one, measurements=tuple(rows))

    comparison = stored_runs.compare(of_one_sample(1.0), of_one_sample(2.0))
    assert {pair.verdict for pair in comparison.pairs} == {stored_runs.NO_CHANGE}


def test_small_values_are_shown_as_what_they_are():
    comparison = stored_runs.compare(run_with("inference_memory", 1e-9), run_with("inference_memory", 2e-9))
    (row,) = stored_runs.report(comparison, "old", "new").tables[0].rows
    assert row.cells[1].text != row.cells[2].text
