"""A run's readings as single figures: what most exports are lists of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from upsampler_bench.case import PROBE, Case
from upsampler_bench.results import Measurement, MetricInfo, Reading, Run
from upsampler_bench.stats import Estimate

SECONDS = "s"


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of one case, with a finite value in the metric's base unit."""

    case: Case
    info: MetricInfo
    reading: Reading

    @property
    def estimate(self) -> Estimate:
        """The median over rounds with its interval."""
        return self.reading.estimate

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the median; None where the number is exact or too few rounds bound it."""
        one = self.estimate
        return None if self.info.is_single or not one.is_bounded else (one.low, one.high)


def figures(run: Run) -> Iterator[Figure]:
    """Every cost in the run: no answers of capabilities, and no floors, which a slower machine raises by itself."""
    for one in run.measurements:
        if one.case.mode != PROBE:
            yield from (figure for figure in of(run, one) if not figure.info.bounds)


def of(run: Run, measurement: Measurement) -> Iterator[Figure]:
    """The figures of one measurement, in the order of its readings; none without a finite value."""
    for reading in measurement.readings:
        info = run.metric(reading.metric)
        if info and reading.samples and all(map(math.isfinite, reading.samples)):
            yield Figure(measurement.case, info, reading)


def timed(run: Run, measurement: Measurement) -> Figure | None:
    """The latency of a measurement: its first figure in seconds that is told as a ratio too; None where it has none."""
    found = (one for one in of(run, measurement) if one.info.unit == SECONDS and one.info.relative)
    return next(found, None)


def untold(run: Run) -> tuple[Measurement, ...]:
    """The measurements that have no figure, so that a list of figures leaves them out."""
    return tuple(one for one in run.measurements if one.case.mode == PROBE or next(of(run, one), None) is None)
