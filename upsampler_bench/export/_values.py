"""A run's readings as single values: what most exports are lists of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from upsampler_bench.case import TIMED, Case
from upsampler_bench.results import Measurement, MetricInfo, Reading, Run

SECONDS = "s"


@dataclass(frozen=True, slots=True)
class Value:
    """One metric of one case: the finite median over rounds, in the metric's base unit."""

    case: Case
    info: MetricInfo
    reading: Reading

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the median; None where the number is exact or too few rounds bound it."""
        estimate = self.reading.estimate
        return None if self.info.is_single or not estimate.is_bounded else (estimate.low, estimate.high)


def values(run: Run) -> Iterator[Value]:
    """Every cost in the run: no capabilities, no quality, and no roofline times, which depend on the machine alone."""
    for measurement in run.measurements:
        if measurement.case.mode in TIMED:
            yield from (value for value in values_of(run, measurement) if not value.info.bounds)


def values_of(run: Run, measurement: Measurement) -> Iterator[Value]:
    """The finite values of one measurement, in the order of its readings."""
    for reading in measurement.readings:
        info = run.metric(reading.metric)
        if info and reading.is_usable:
            yield Value(measurement.case, info, reading)


def latency_of(run: Run, measurement: Measurement) -> Value | None:
    """The time of one call: the first value in seconds that reports show as a ratio to the baseline too."""
    times = (value for value in values_of(run, measurement) if value.info.unit == SECONDS and value.info.relative)
    return next(times, None)


def without_values(run: Run) -> tuple[Measurement, ...]:
    """The measurements that a list of values leaves out."""
    return tuple(one for one in run.measurements if one.case.mode not in TIMED or not any(values_of(run, one)))
