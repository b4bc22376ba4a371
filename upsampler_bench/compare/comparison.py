# torch-free
"""A finished comparison of two sides: what was measured, and the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import geometric_mean

from upsampler_bench.compare.rule import FASTER, LOOKS, SLOWER, Result, Rule
from upsampler_bench.compare.samples import BASE, HEAD, Sample, timings

# Why a comparison stopped.
DECIDED, BUDGET, INTERRUPTED = "every case is decided", "the time budget is used up", "interrupted"
MOST = f"{LOOKS[-1]} processes per side, the most that are measured"


@dataclass(frozen=True, slots=True)
class Change:
    """A deterministic metric that differs between the sides, in its base unit."""

    key: str
    metric: str
    base: float
    head: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison: all cases of one condition.

    Attributes:
        base, head: what was compared, in words.
        condition: what all cases share, e.g. "1x64x32x32/x2/float32/contiguous/cpu/inference".
        keys: of the cases, in order; a case is named by what the base calls it.
        samples: one per process, in the order of measuring.
        results: of the head against the base.
        control: results of the control against the base; any SLOWER or FASTER is a false alarm.
        added, removed: operators that only the head, or only the base, has.
        stopped: why sampling ended.
        seconds: how long it took.
        wrong: cases whose output the head gets wrong, with the reason; they fail whatever their time.
        lost: cases that could not be timed on a side, with the reason.
        changes: deterministic metrics that differ.
        metrics: the head's deterministic metrics, by case and metric.
        same_operators: the sides are revisions of the same operators, so that a metric that rose is a regression.
    """

    base: str
    head: str
    condition: str
    keys: tuple[str, ...]
    rule: Rule
    samples: tuple[Sample, ...] = ()
    results: tuple[Result, ...] = ()
    control: tuple[Result, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    stopped: str = ""
    seconds: float = 0.0
    wrong: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    same_operators: bool = True

    @property
    def false_alarms(self) -> tuple[str, ...]:
        """Cases in which the base differs from itself: then no verdict on time can be trusted."""
        return tuple(result.key for result in self.control if result.verdict in (SLOWER, FASTER))

    def with_verdict(self, verdict: str) -> tuple[Result, ...]:
        """The results with a verdict."""
        return tuple(result for result in self.results if result.verdict == verdict)

    @property
    def no_longer_timed(self) -> tuple[str, ...]:
        """Cases that the base could time and the head could not."""
        return tuple(
            key for key in self.keys if timings(self.samples, BASE, key) and not timings(self.samples, HEAD, key)
        )

    @property
    def mean_ratio(self) -> float | None:
        """The geometric mean of the ratios head / base; None without results."""
        return geometric_mean(result.shift.ratio for result in self.results) if self.results else None


def changes(base: Mapping[str, Mapping[str, float]], head: Mapping[str, Mapping[str, float]]) -> tuple[Change, ...]:
    """Every deterministic metric, by case and name, that both sides have and that differs."""
    differing = []
    for key, metrics in base.items():
        for metric, value in metrics.items():
            after = head.get(key, {}).get(metric, value)
            if after != value:
                differing.append(Change(key, metric, value, after))
    return tuple(differing)
