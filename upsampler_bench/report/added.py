"""What an operator adds to the baseline's number: an exact one by subtraction, a timed one from rounds of both."""

from __future__ import annotations

from statistics import median

from upsampler_bench import units
from upsampler_bench.report.lines import Line
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.stats import Estimate, estimate

MINUS = "−"


def added(line: Line, base: Line, info: MetricInfo) -> Estimate | None:
    """The addition in the metric's unit for people; unbounded where no interval can be told, None where one lacks."""
    ours, theirs = line.find(info), base.find(info)
    if ours is None or theirs is None:
        return None
    return units.convert(_difference(info, ours[1], theirs[1]), units.unit(info.unit))


def signed(value: float) -> str:
    """An addition as it is printed: +1.43, −0.20, +0."""
    text = units.short(abs(value))
    return f"{MINUS if value < 0 and text != '0' else '+'}{text}"


def _difference(info: MetricInfo, ours: Reading, theirs: Reading) -> Estimate:
    """In one round both met the same moments of the machine, so the median over rounds of the round's difference."""
    pairs = [
        median(mine) - median(other) for mine, other in zip(ours.rounds, theirs.rounds, strict=False) if mine and other
    ]
    if info.is_single or ours.method != theirs.method or not pairs:
        apart = ours.estimate.value - theirs.estimate.value
        return Estimate(apart, apart, apart, 0)
    return estimate(pairs)
