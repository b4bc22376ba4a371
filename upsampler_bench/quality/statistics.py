# torch-free
"""Differences to the baseline over seeds, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from upsampler_bench.stats import t_half_width


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
