# torch-free
"""By what factor one set of values lies above another: an exact rank test, whatever the distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

from upsampler_bench.stats import CONFIDENCE


@dataclass(frozen=True, slots=True)
class Shift:
    """The ratio head / base with its 95 % interval; 0 to infinity if too few values bound it."""

    ratio: float
    low: float
    high: float


def shift(base: Sequence[float], head: Sequence[float]) -> Shift:
    """The median of all ratios head / base (Hodges and Lehmann), and the interval that inverts the rank test.

    Args:
        base, head: positive, independent values.

    Raises:
        ValueError: a side is empty.
    """
    if not base or not head:
        raise ValueError(f"a comparison needs values on both sides; got {len(base)} and {len(head)}")
    ratios = sorted(after / before for before in base for after in head)
    outside = -1
    # P(U <= rank) is the chance that the true factor lies beyond the ratio of that rank.
    for rank in range(len(ratios) // 2):
        if _p_at_least(len(base), len(head), len(ratios) - rank) > (1 - CONFIDENCE) / 2:
            break
        outside = rank
    if outside < 0:
        return Shift(median(ratios), 0.0, math.inf)
    return Shift(median(ratios), ratios[outside], ratios[-1 - outside])


def p_above(base: Sequence[float], head: Sequence[float]) -> float:
    """One-sided Mann-Whitney: the chance of such ranks if the head is not above the base; ties count half."""
    wins = sum((after > before) + 0.5 * (after == before) for before in base for after in head)
    return _p_at_least(len(base), len(head), wins)


def _p_at_least(count: int, other: int, wins: float) -> float:
    """P(U >= wins) if both sides have the same distribution."""
    ways = _ways(count, other)
    return sum(ways[math.floor(wins) :]) / math.comb(count + other, count)


@lru_cache(maxsize=256)
def _ways(count: int, other: int) -> tuple[int, ...]:
    """In how many orders one side wins 0, 1, 2, ... of all pairs: the coefficients of a Gaussian binomial."""
    ways = [1] + [0] * (count * other)
    for power in range(1, count + 1):
        for wins in range(len(ways) - 1, other + power - 1, -1):  # times 1 - q^(other + power)
            ways[wins] -= ways[wins - other - power]
        for wins in range(power, len(ways)):  # over 1 - q^power
            ways[wins] += ways[wins - power]
    return tuple(ways)
