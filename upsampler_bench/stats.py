"""Medians and their intervals: of one process by order statistics, of several by Student's t between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, median, stdev

CONFIDENCE = 0.95
# The range of six samples covers the median with 97 %, that of eight with 99 %: rounds are not quite independent.
FEWEST = 8
# The largest logarithm whose exponential is a finite float.
LARGEST_LOGARITHM = 709.0
# The 97.5 % quantile of Student's t by degrees of freedom, 1 to 30; beyond, the next lower entry is a little wide.
QUANTILES = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median with its 95 % interval, in the unit of the samples.

    Attributes:
        count: of the values that it was taken from: samples, rounds or pairs of rounds.
        processes: that they were taken in; of several, the interval contains the spread between them.
    """

    value: float
    low: float
    high: float
    count: int
    processes: int = 1

    @property
    def is_bounded(self) -> bool:
        """Whether there are enough samples for an interval: eight, or several processes."""
        return self.processes > 1 or interval_ranks(self.count) is not None

    @property
    def half_width(self) -> float:
        """Half the interval relative to the median: 0.01 is ±1 %; infinite if there are too few samples."""
        if not self.is_bounded or not self.value:
            return math.inf
        return (self.high - self.low) / 2 / self.value


def covered(processes: int) -> str:
    """What an interval over so many processes covers, in words."""
    return f"between {processes} processes" if processes > 1 else "within one process"


def interval_ranks(count: int) -> tuple[int, int] | None:
    """The ranks (from 0) of the samples that bound the median, or None for fewer than eight samples.

    The number of samples below the median is binomial(count, 1/2): exact up to 200 samples, its normal
    approximation beyond.
    """
    if count < FEWEST:
        return None
    tail = (1 - CONFIDENCE) / 2
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


def between_processes(estimates: Sequence[Estimate]) -> Estimate:
    """The geometric mean over processes with its 95 % t interval; of a single process, its own estimate.

    Part of what moves a time is drawn once per process (memory layout, placement on cores): rounds of one process do
    not show it, however many there are.

    Args:
        estimates: one per process, with values above 0.

    Raises:
        ValueError: there is none, or a value is not above 0.
    """
    if len(estimates) == 1:
        return estimates[0]
    logs = [math.log(one.value) for one in estimates]
    mean, half = fmean(logs), t_half_width(logs)
    count = sum(one.count for one in estimates)
    high = math.exp(min(mean + half, LARGEST_LOGARITHM))
    return Estimate(math.exp(mean), math.exp(mean - half), high, count, len(estimates))


def t_half_width(values: Sequence[float]) -> float:
    """Half the 95 % interval of the mean, by Student's t; `values` are at least two."""
    quantile = QUANTILES[min(len(values) - 1, len(QUANTILES)) - 1]
    return quantile * stdev(values) / math.sqrt(len(values))


def quantile(samples: Sequence[float], level: float) -> float | None:
    """The quantile at `level` (between 0 and 1), or None where the samples cannot support it.

    The largest of n samples exceeds the quantile with probability 1 - level^n. It must do so with 95 %, so that the
    samples bound the quantile from above: p95 from 59 samples on, p99 from 299 on.
    """
    if len(samples) < math.ceil(math.log(1 - CONFIDENCE) / math.log(level)):
        return None
    return sorted(samples)[math.ceil(level * len(samples)) - 1]
