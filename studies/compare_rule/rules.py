"""Rules that are scored on the same samples: ours, and those that people use. Each returns a verdict per case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median

import numpy as np
from scipy.stats import mannwhitneyu

from upsampler_bench.compare.rank_test import p_above, shift
from upsampler_bench.compare.rule import DEFAULT, FASTER, LOOKS, SAME, SLOWER, UNCLEAR, Rule, decide, holm, judge, look
from upsampler_bench.compare.samples import BASE, HEAD, Sample, Timing, timings

Verdicts = Mapping[str, str]
Answer = Callable[[Sequence[Sample], Sequence[str]], Verdicts]
ALL = 1000


# One number per process.
STATISTICS: dict[str, Callable[[Timing], float]] = {
    "least": lambda timing: timing.fastest,
    "quartile": lambda timing: float(np.percentile(timing.rounds, 25)),
    "median": lambda timing: median(timing.rounds),
}


def first_look(samples: Sequence[Sample], keys: Sequence[str]) -> Verdicts:
    """Our rule as a comparison uses it at its first look."""
    rule = replace(DEFAULT, significance=DEFAULT.significance / len(LOOKS))
    return {result.key: result.verdict for result in judge(samples, keys, rule)}


def all_looks(samples: Sequence[Sample], keys: Sequence[str]) -> Verdicts:
    """The complete comparison: a case that is unclear at one look gets more processes, up to the last."""
    results: Mapping = {}
    for size in LOOKS:
        results = look(samples[: 2 * size], keys, DEFAULT, results)
    return {key: result.verdict for key, result in results.items()}


def agreeing(samples: Sequence[Sample], keys: Sequence[str], statistics: Sequence[str], threshold: float) -> Verdicts:
    """Our rule with other statistics of a process, which must all agree."""
    rule = Rule(threshold, DEFAULT.significance / len(LOOKS))
    values = {key: [_sides(samples, key, STATISTICS[name]) for name in statistics] for key in keys}
    slower = holm({key: max(p_above(base, head) for base, head in sides) for key, sides in values.items()})
    faster = holm({key: max(p_above(head, base) for base, head in sides) for key, sides in values.items()})
    verdicts = {}
    for key, sides in values.items():
        decided = {decide(shift(base, head), slower[key], faster[key], rule) for base, head in sides}
        verdicts[key] = decided.pop() if len(decided) == 1 else UNCLEAR
    return verdicts


def flat(samples: Sequence[Sample], keys: Sequence[str], threshold: float) -> Verdicts:
    """One process per side: slower if its median is that much above the base's."""
    medians = {key: _sides(samples, key, STATISTICS["median"]) for key in keys}
    return {key: _by_ratio(head[0] / base[0], 1 + threshold) for key, (base, head) in medians.items()}


def pooled(samples: Sequence[Sample], keys: Sequence[str]) -> Verdicts:
    """All rounds of a side together, as if independent: a two-sided Mann-Whitney test at 5 %."""
    return {key: _by_test(*_pool(samples, key, ALL), 0.05, "asymptotic") for key in keys}


def asv(samples: Sequence[Sample], keys: Sequence[str]) -> Verdicts:
    """asv continuous: two processes per side, alternating, pooled; a factor of 1.1 and a Mann-Whitney test at 0.002."""
    verdicts = {}
    for key in keys:
        base, head = _pool(samples, key, 2)
        verdict = _by_ratio(median(head) / median(base), 1.1)
        verdicts[key] = verdict if verdict == _by_test(base, head, 0.002, "exact") else SAME
    return verdicts


def starting(samples: Sequence[Sample], keys: Sequence[str]) -> Verdicts:
    """A first attempt: minimum and lower quartile of the medians over 1.05, and a rank test on the fastest calls."""
    verdicts = {}
    for key in keys:
        base, head = map(sorted, _sides(samples, key, STATISTICS["median"]))
        ratios = head[0] / base[0], head[len(head) // 4] / base[len(base) // 4]
        verdicts[key] = UNCLEAR if max(ratios) > 1.05 else SAME
        if min(ratios) > 1.05 and p_above(*_sides(samples, key, STATISTICS["least"])) < 0.05:
            verdicts[key] = SLOWER
    return verdicts


PUBLISHED: dict[str, Answer] = {
    "flat 5 % of one median": partial(flat, threshold=0.05),
    "flat 10 % of one median (pytest-benchmark median:10%)": partial(flat, threshold=0.10),
    "pooled Mann-Whitney, 5 %": pooled,
    "asv continuous (1.1, p 0.002)": asv,
    "minimum & quartile (starting rule)": starting,
}


def candidates() -> dict[str, Answer]:
    """Variants of our rule: one statistic, or the fastest call and another one."""
    sets = [(name,) for name in STATISTICS] + [("least", name) for name in STATISTICS if name != "least"]
    found: dict[str, Answer] = {}
    for names in sets:
        for threshold in (0.03, 0.05):
            label = f"{' & '.join(names)}, {threshold:.0%}"
            found[label] = partial(agreeing, statistics=names, threshold=threshold)
    return found


def _sides(samples: Sequence[Sample], key: str, statistic: Callable[[Timing], float]) -> list[list[float]]:
    return [[statistic(timing) for timing in timings(samples, side, key)] for side in (BASE, HEAD)]


def _pool(samples: Sequence[Sample], key: str, processes: int) -> list[list[float]]:
    return [
        np.concatenate([t.rounds for t in timings(samples, side, key)[:processes]]).tolist() for side in (BASE, HEAD)
    ]


def _by_ratio(ratio: float, limit: float) -> str:
    if ratio > limit:
        return SLOWER
    return FASTER if ratio < 1 / limit else SAME


def _by_test(base: Sequence[float], head: Sequence[float], significance: float, method: str) -> str:
    for verdict, alternative in ((SLOWER, "greater"), (FASTER, "less")):
        if mannwhitneyu(head, base, alternative=alternative, method=method).pvalue < significance / 2:
            return verdict
    return SAME
