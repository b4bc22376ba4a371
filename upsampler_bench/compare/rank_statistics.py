# torch-free
"""By what factor one set of values lies above another: exact rank statistics, no assumption about the distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, median

# Up to this many values a side the distribution is counted out.
EXACT = 40


@dataclass(frozen=True, slots=True)
class Shift:
    """The factor from the first to the second with its interval; infinitely wide where too few values bound it."""

    ratio: float
    low: float
    high: float


def shift(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Shift:
    """The median of all ratios second / first (Hodges and Lehmann), and the interval that the rank test gives.

    Args:
        first, second: positive, independent values; at least one each.
        confidence: of the interval.

    Raises:
        ValueError: a side is empty.
    """
    if not first or not second:
        raise ValueError(f"a comparison needs values on both sides; found {len(first)} and {len(second)}")
    ratios = sorted(theirs / ours for ours in first for theirs in second)
    skipped = _skipped(len(first), len(second), (1 - confidence) / 2)
    if skipped is None:
        return Shift(median(ratios), 0.0, math.inf)
    return Shift(median(ratios), ratios[skipped], ratios[-1 - skipped])


def p_above(first: Sequence[float], second: Sequence[float]) -> float:
    """One-sided Mann-Whitney: how likely such ranks are if the second is not above the first; ties count half."""
    wins = sum((theirs > ours) + 0.5 * (theirs == ours) for ours in first for theirs in second)
    return _upper_tail(len(first), len(second), wins)


def _skipped(count: int, other: int, tail: float) -> int | None:
    """How many ratios at each end lie outside the interval; None where even the outermost bound nothing."""
    found = None
    for place in range(count * other // 2):
        # P(U <= place) is the chance that the true factor lies beyond the ratio of rank `place`.
        if _upper_tail(count, other, count * other - place) > tail:
            break
        found = place
    return found


def _upper_tail(count: int, other: int, wins: float) -> float:
    """P(U >= wins) where both sides are alike."""
    if max(count, other) > EXACT:
        spread = math.sqrt(count * other * (count + other + 1) / 12)
        return 1 - NormalDist().cdf((wins - 0.5 - count * other / 2) / spread)
    ways = _ways(count, other)
    return sum(ways[math.ceil(wins) :]) / math.comb(count + other, count)


@lru_cache(maxsize=256)
def _ways(count: int, other: int) -> tuple[int, ...]:
    """In how many orders the one side wins 0, 1, 2, ... of all pairs: the coefficients of a Gaussian binomial."""
    ways = [1] + [0] * (count * other)
    for place in range(1, count + 1):
        for wins in range(len(ways) - 1, other + place - 1, -1):  # times 1 - q^(other + place)
            ways[wins] -= ways[wins - other - place]
        for wins in range(place, len(ways)):  # over 1 - q^place
            ways[wins] += ways[wins - place]
    return tuple(ways)
