# torch-free
"""Differences to the baseline over seeds, with their intervals, and how stable a ranking is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import StatisticsError, correlation, fmean

from upsampler_bench.stats import t_half_width

# Operators below which a rank correlation says nothing.
FEWEST = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean of paired differences.

    Attributes:
        half_width: of the 95 % t interval; None for a single pair.
    """

    value: float
    half_width: float | None


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Difference | None:
    """Ours minus theirs, paired by seed; None if they have no seed in common.

    Both were trained from the same weights on the same batches, so what a seed makes easy or hard for both cancels.
    """
    differences = [ours[seed] - theirs[seed] for seed in sorted(ours) if seed in theirs]
    if not differences:
        return None
    return Difference(fmean(differences), t_half_width(differences) if len(differences) > 1 else None)


def rank_correlation(first: Mapping[str, float], second: Mapping[str, float]) -> float | None:
    """Spearman's rank correlation of the values that both have; None for fewer than three, or if all are alike."""
    names = [name for name in first if name in second]
    if len(names) < FEWEST:
        return None
    try:
        return correlation(_ranks([first[name] for name in names]), _ranks([second[name] for name in names]))
    except StatisticsError:  # all values alike
        return None


def _ranks(values: list[float]) -> list[float]:
    """The rank of each value from 1 on, of equal ones the mean of theirs."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]
