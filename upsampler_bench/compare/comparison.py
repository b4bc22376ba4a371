# torch-free
"""A finished comparison of two sides: everything that was measured, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import exp, fsum, log

from upsampler_bench.compare.rule import FASTER, SLOWER, UNCLEAR, Finding, Rule, judge
from upsampler_bench.compare.samples import BASE, HEAD, Point

LOOKS = (8, 16, 32)
WHOLE, BUDGET, INTERRUPTED = "no case is left unclear", "the budget is spent", "interrupted"
MOST = f"{LOOKS[-1]} processes a side, the most that are taken"


@dataclass(frozen=True, slots=True)
class Change:
    """An exact figure that differs between the sides, in the metric's base unit."""

    key: str
    metric: str
    base: float
    head: float


@dataclass(frozen=True, slots=True)
class Duel:
    """One comparison.

    Attributes:
        base, head: what was compared, in words.
        condition: what all cases share, e.g. "1x64x32x32/x2/float32/contiguous/cpu/inference".
        keys: of the cases compared, in order; a case is named by what the base calls it.
        points: a process each, in the order in which they were measured.
        added, removed: operators that one side lacks.
        stopped: why sampling ended.
        seconds: that it took.
        wrong: cases whose output the head gets wrong, with why; they fail whatever their time.
        lost: cases that could not be timed on a side, with why.
        changes: of exact figures; any is told, none is noise.
        exact: the head's exact figures, by case and metric.
        alike: the sides are revisions of the same operators, so that more of an exact figure is a regression.
    """

    base: str
    head: str
    condition: str
    keys: tuple[str, ...]
    rule: Rule
    points: tuple[Point, ...] = ()
    findings: tuple[Finding, ...] = ()
    control: tuple[Finding, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    stopped: str = ""
    seconds: float = 0.0
    wrong: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    exact: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    alike: bool = True

    @property
    def is_advisory(self) -> bool:
        """Whether the control, the base against itself, raised an alarm: then no verdict here can be trusted."""
        return any(one.verdict in (SLOWER, FASTER) for one in self.control)

    def of(self, verdict: str) -> tuple[Finding, ...]:
        """The findings with a verdict."""
        return tuple(one for one in self.findings if one.verdict == verdict)

    @property
    def newly_lost(self) -> tuple[str, ...]:
        """Cases that the base could time and the head could not."""
        timed = {arm: {key for one in self.points if one.arm == arm for key in one.timings} for arm in (BASE, HEAD)}
        return tuple(key for key in self.keys if key in timed[BASE] and key not in timed[HEAD])

    @property
    def mean(self) -> float | None:
        """The geometric mean of the ratios; None where nothing was compared."""
        ratios = [log(one.shift.ratio) for one in self.findings]
        return exp(fsum(ratios) / len(ratios)) if ratios else None

    @property
    def hidden(self) -> int:
        """Changes beyond the threshold by their ratio that are not told as changes, being no surer than noise."""
        return sum(one.hidden for one in self.findings)


def look(
    points: tuple[Point, ...], keys: tuple[str, ...], rule: Rule, settled: Mapping[str, Finding]
) -> dict[str, Finding]:
    """The findings at one look at the data; a case once settled keeps its verdict.

    Each look spends its share of the rule's significance, so that looking several times raises no more false alarms.
    """
    each = replace(rule, significance=rule.significance / len(LOOKS))
    found = {one.key: one for one in judge(points, keys, each)}
    return {key: settled[key] if key in settled else found[key] for key in keys if key in settled or key in found}


def unsettled(findings: Mapping[str, Finding]) -> tuple[str, ...]:
    """The cases that more processes may still decide."""
    return tuple(key for key, one in findings.items() if one.verdict == UNCLEAR)


def count(points: tuple[Point, ...], arm: str) -> int:
    """How many processes an arm has."""
    return sum(one.arm == arm for one in points)
