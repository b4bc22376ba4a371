# torch-free
"""What fresh processes measured on the sides of a comparison: one process is one data point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

BASE, HEAD, CONTROL = "base", "head", "control"


@dataclass(frozen=True, slots=True)
class Timing:
    """One case in one process, in seconds.

    Attributes:
        rounds: the median call of each round.
        yardstick: of each of these rounds the median call of the yardstick, which is the same on every side.
        least: the fastest call of all.
    """

    rounds: tuple[float, ...]
    yardstick: tuple[float, ...]
    least: float


@dataclass(frozen=True, slots=True)
class Point:
    """One process.

    Attributes:
        arm: BASE, HEAD or CONTROL (the base once more).
        timings: by the case's key.
        lost: why a case has no timing, by its key.
        load: the machine's load average over a minute at its start, None where it is not known.
        where: the device and the torch that it ran on, in words; empty where it did not say.
    """

    arm: str
    timings: Mapping[str, Timing]
    lost: Mapping[str, str] = field(default_factory=dict)
    load: float | None = None
    where: str = ""


def lower_quartile(values: Sequence[float]) -> float:
    """A quarter of the values lie below it: what a neighbour's load moves less than the median."""
    ordered = sorted(values)
    place = (len(ordered) - 1) / 4
    low = int(place)
    above = ordered[min(low + 1, len(ordered) - 1)]
    return ordered[low] + (above - ordered[low]) * (place - low)


def _paired(timing: Timing) -> list[float]:
    return [ours / theirs for ours, theirs in zip(timing.rounds, timing.yardstick, strict=False) if theirs]


# What one number a process gives to a comparison, by name.
STATISTICS: Mapping[str, Callable[[Timing], float]] = {
    "least": lambda timing: timing.least,
    "quartile": lambda timing: lower_quartile(timing.rounds),
    "median": lambda timing: median(timing.rounds),
    "paired": lambda timing: median(_paired(timing)),
    "paired-quartile": lambda timing: lower_quartile(_paired(timing)),
}


def values(points: Sequence[Point], arm: str, key: str, statistic: str) -> list[float]:
    """That statistic of a case in every process of an arm that timed it."""
    of = STATISTICS[statistic]
    return [of(one.timings[key]) for one in points if one.arm == arm and key in one.timings]
