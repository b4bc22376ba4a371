"""Rules that are scored: ours, and those that people use, on the same processes. Each answers with a verdict a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from statistics import median

from upsampler_bench.compare.comparison import LOOKS, look
from upsampler_bench.compare.rank_statistics import p_above
from upsampler_bench.compare.rule import DEFAULT, FASTER, SAME, SLOWER, UNCLEAR, Finding, Rule, judge
from upsampler_bench.compare.samples import BASE, HEAD, STATISTICS, Point

Answer = Callable[[Sequence[Point], Sequence[str]], Mapping[str, str]]


def ours(rule: Rule = DEFAULT) -> Answer:
    """The rule as a comparison uses it at its first look, of 8 processes a side."""
    first = replace(rule, significance=rule.significance / len(LOOKS))
    return lambda points, keys: {one.key: one.verdict for one in judge(points, keys, first)}


def to_the_end(rule: Rule = DEFAULT) -> Answer:
    """The whole comparison: a case left unclear at one look gets more processes, up to the last."""

    def answer(points: Sequence[Point], keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, Finding] = {}
        for size in LOOKS:
            settled = {key: one for key, one in found.items() if one.verdict != UNCLEAR}
            found = look(tuple(points[: 2 * size]), tuple(keys), rule, settled)
        return {key: one.verdict for key, one in found.items()}

    return answer


def flat(threshold: float) -> Answer:
    """One process a side: slower where its median is that much above the base's."""

    def answer(points: Sequence[Point], keys: Sequence[str]) -> dict[str, str]:
        base, head = (next(one for one in points if one.arm == arm) for arm in (BASE, HEAD))
        ratios = {key: median(head.timings[key].rounds) / median(base.timings[key].rounds) for key in keys}
        return {key: _by(ratio, 1 + threshold) for key, ratio in ratios.items()}

    return answer


def pooled(significance: float = 0.05) -> Answer:
    """All samples of a side thrown together, as if independent: a two-sided Mann-Whitney test."""

    def answer(points: Sequence[Point], keys: Sequence[str]) -> dict[str, str]:
        return {key: _tested(_pool(points, BASE, key), _pool(points, HEAD, key), significance) for key in keys}

    return answer


def asv(factor: float = 1.1, significance: float = 0.002) -> Answer:
    """asv continuous: two processes a side, alternating; their samples pooled; a factor and a Mann-Whitney test."""

    def answer(points: Sequence[Point], keys: Sequence[str]) -> dict[str, str]:
        found = {}
        for key in keys:
            base, head = (_pool(points, arm, key, 2) for arm in (BASE, HEAD))
            verdict = _by(median(head) / median(base), factor)
            found[key] = verdict if verdict == _tested(base, head, significance) else SAME
        return found

    return answer


def starting() -> Answer:
    """The rule that a trial began with: minimum and lower quartile over 1.05, and a rank test on the minima."""

    def answer(points: Sequence[Point], keys: Sequence[str]) -> dict[str, str]:
        return {key: _starting(points, key) for key in keys}

    return answer


def _starting(points: Sequence[Point], key: str) -> str:
    sides = [sorted(median(one.timings[key].rounds) for one in points if one.arm == arm) for arm in (BASE, HEAD)]
    least = [[one.timings[key].least for one in points if one.arm == arm] for arm in (BASE, HEAD)]
    ratios = [sides[1][0] / sides[0][0], sides[1][len(sides[1]) // 4] / sides[0][len(sides[0]) // 4]]
    if min(ratios) > 1.05:
        return SLOWER if p_above(*least) < 0.05 else UNCLEAR
    return UNCLEAR if max(ratios) > 1.05 else SAME


def _by(ratio: float, limit: float) -> str:
    return SLOWER if ratio > limit else FASTER if ratio < 1 / limit else SAME


def _pool(points: Sequence[Point], arm: str, key: str, most: int = 1000) -> list[float]:
    return [value for one in [one for one in points if one.arm == arm][:most] for value in one.timings[key].rounds]


def _tested(base: Sequence[float], head: Sequence[float], significance: float) -> str:
    above = p_above(base, head)
    if above < significance / 2:
        return SLOWER
    return FASTER if p_above(head, base) < significance / 2 else SAME


def candidates() -> dict[str, Answer]:
    """Variants of our rule, to choose among on one half of the data."""
    alone = [(one,) for one in STATISTICS]
    sets = [*alone, *(("least", one) for one in STATISTICS if one != "least")]
    return {
        f"{' & '.join(statistics)}, {threshold:.0%}": ours(Rule(threshold=threshold, statistics=statistics))
        for statistics, threshold in product(sets, (0.03, 0.05))
    }


def published() -> dict[str, Answer]:
    """The rules that are told beside ours."""
    return {
        "flat 5 % of one median": flat(0.05),
        "flat 10 % of one median (pytest-benchmark median:10%)": flat(0.10),
        "pooled Mann-Whitney, 5 %": pooled(),
        "asv continuous (1.1, p 0.002)": asv(),
        "minimum & quartile (starting rule)": starting(),
    }
