# torch-free
"""Samples: what one process of one side measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# The control is the base once more.
BASE, HEAD, CONTROL = SIDES = "base", "head", "control"


@dataclass(frozen=True, slots=True)
class Timing:
    """One case in one process, in seconds.

    Attributes:
        rounds: the median call of each round.
        fastest: the fastest call of all.
    """

    rounds: tuple[float, ...]
    fastest: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One process.

    Attributes:
        side: BASE, HEAD or CONTROL.
        timings: by the case's key.
        lost: why a case has no timing, by its key.
        machine: the device and torch it ran on, in words; empty if the process did not report them.
    """

    side: str
    timings: Mapping[str, Timing]
    lost: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""


def count(samples: Sequence[Sample], side: str) -> int:
    """The number of processes of a side."""
    return sum(sample.side == side for sample in samples)


def timings(samples: Sequence[Sample], side: str, key: str) -> list[Timing]:
    """A case's timing in every process of a side that timed it."""
    return [sample.timings[key] for sample in samples if sample.side == side and key in sample.timings]
