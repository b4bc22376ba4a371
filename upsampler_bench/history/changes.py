"""Where a series changed its level: change points by the PELT method of the ruptures package."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, pvariance

from upsampler_bench.errors import MissingPackage

FEWEST = 3
# Of the log-likelihood: about three times log(n) for a change of mean in noise of unit variance.
PENALTY = 3.0
# A level that moves by less is none that anybody asked for.
THRESHOLD = 0.02
# Of the step over its standard error: the noise that the search begins with is a guess where runs are few.
CERTAINTY = 3.5


@dataclass(frozen=True, slots=True)
class Change:
    """A new level from entry `place` on: its median over that of the level before."""

    place: int
    ratio: float


def changes(values: Sequence[float]) -> list[Change]:
    """The places where the level of a series of positive numbers changed.

    The noise is taken from neighbouring values' differences, so that it is not taken for a change itself.

    Raises:
        MissingPackage: ruptures is not installed.
    """
    if len(values) < 2 * FEWEST:
        return []
    try:
        import numpy
        import ruptures
    except ImportError as problem:
        raise MissingPackage("change points need ruptures: pip install 'upsampler-bench[history]'") from problem
    logs = numpy.log(numpy.asarray(values, dtype=float))
    noise = max(float(numpy.median(numpy.abs(numpy.diff(logs)))) / 0.9539, 1e-4)  # median |difference| of two normals
    found = ruptures.Pelt(model="l2", min_size=FEWEST, jump=1).fit((logs / noise).reshape(-1, 1))
    ends = found.predict(pen=PENALTY * math.log(len(values)))
    starts = [0, *ends]
    levels = [[float(one) for one in logs[low:high]] for low, high in zip(starts, ends, strict=False)]
    return [
        Change(place, math.exp(median(after) - median(before)))
        for place, before, after in zip(ends, levels, levels[1:], strict=False)
        if abs(median(after) - median(before)) >= math.log(1 + THRESHOLD) and _is_sure(before, after)
    ]


def _is_sure(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether a step stands out from the scatter of its own two levels; the fewer their values, the further."""
    freedom = len(before) + len(after) - 2
    scatter = math.sqrt((len(before) * pvariance(before) + len(after) * pvariance(after)) / freedom)
    error = scatter * math.sqrt(1 / len(before) + 1 / len(after))
    return abs(fmean(after) - fmean(before)) >= CERTAINTY * (1 + 4 / freedom) * error
