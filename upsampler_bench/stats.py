"""Medians and their intervals by order statistics: no assumption about the distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

CONFIDENCE = 0.95
# The range of six samples covers the median with 97 %, that of eight with 99 %: rounds are not quite independent.
FEWEST = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median with its 95 % interval, in the unit of the samples; `count` is their number."""

    value: float
    low: float
    high: float
    count: int

    @property
    def is_bounded(self) -> bool:
        """Whether there are enough samples (eight) for an interval."""
        return interval_ranks(self.count) is not None

    @property
    def half_width(self) -> float:
        """Half the interval relative to the median: 0.01 is ±1 %; infinite if there are too few samples."""
        if not self.is_bounded or not self.value:
            return math.inf
        return (self.high - self.low) / 2 / self.value


def interval_ranks(count: int, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """The ranks (from 0) of the samples that bound the median, or None for fewer than eight samples.

    The number of samples below the median is binomial(count, 1/2): exact up to 200 samples, its normal
    approximation beyond.
    """
    if count < FEWEST:
        return None
    tail = (1 - confidence) / 2
    if count > 200:
        low = math.floor((count - 1 + NormalDist().inv_cdf(tail) * math.sqrt(count)) / 2)
        return low, count - 1 - low
    cumulated, low = 0.0, -1
    for rank in range(count // 2):
        cumulated += math.comb(count, rank) / 2**count
        if cumulated > tail:
            break
        low = rank
    return (low, count - 1 - low) if low >= 0 else None


def estimate(samples: Sequence[float]) -> Estimate:
    """The median of the samples with its 95 % interval (their entire range below eight samples).

    Raises:
        ValueError: there is no sample.
    """
    if not samples:
        raise ValueError("no samples: a median needs at least one")
    ordered = sorted(samples)
    low, high = interval_ranks(len(ordered)) or (0, len(ordered) - 1)
    return Estimate(median(ordered), ordered[low], ordered[high], len(ordered))


def estimate_rounds(rounds: Sequence[Sequence[float]]) -> Estimate:
    """The median over rounds of each round's median, with its 95 % interval.

    Calls within a round follow each other and are alike: only rounds are independent. A single round
    is estimated by its samples.

    Raises:
        ValueError: there is no sample.
    """
    filled = [samples for samples in rounds if samples]
    if len(filled) == 1:
        return estimate(filled[0])
    return estimate([median(samples) for samples in filled])


def paired_ratio(rounds: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]]) -> Estimate | None:
    """The ratio to the baseline, one pair per round, or None if no round holds both.

    Both were timed within the same moments of each round, so what slows the whole machine cancels.
    """
    pairs = [median(ours) / median(theirs) for ours, theirs in zip(rounds, baseline, strict=False) if ours and theirs]
    return estimate(pairs) if pairs else None


def quantile(samples: Sequence[float], level: float) -> float | None:
    """The quantile at `level` (between 0 and 1), or None where the samples cannot support it.

    The largest of n samples exceeds the quantile with probability 1 - level^n. It must do so with 95 %, so that the
    samples bound the quantile from above: p95 from 59 samples on, p99 from 299 on.
    """
    if len(samples) < math.ceil(math.log(1 - CONFIDENCE) / math.log(level)):
        return None
    return sorted(samples)[math.ceil(level * len(samples)) - 1]
