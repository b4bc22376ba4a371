# torch-free
"""The rule: from the processes of two sides to a verdict for each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from upsampler_bench.compare.rank_statistics import Shift, p_above, shift
from upsampler_bench.compare.samples import BASE, HEAD, Point, values

SLOWER, FASTER, SAME, UNCLEAR = "SLOWER", "FASTER", "SAME", "UNCLEAR"


@dataclass(frozen=True, slots=True)
class Rule:
    """When a difference is one.

    Attributes:
        threshold: relative; a smaller change is none that anybody asked for.
        statistics: of each process; all must show the change, the first one gives the ratio told.
        significance: chance of any false SLOWER, and of any false FASTER, over all cases together (Holm).
        confidence: of the intervals told, each for itself.
    """

    threshold: float = 0.05
    statistics: tuple[str, ...] = ("least",)
    significance: float = 0.05
    confidence: float = 0.95


DEFAULT = Rule()


@dataclass(frozen=True, slots=True)
class Finding:
    """One case of a comparison.

    Attributes:
        verdict: SLOWER, FASTER, SAME or UNCLEAR.
        shift: head over base by the rule's first statistic.
        others: by the rule's other statistics.
        slower, faster: p of each direction, the largest over the statistics; corrected for all cases.
        base, head: how many processes timed it.
        hidden: a change beyond the threshold by its ratio that was not told as one.
    """

    key: str
    verdict: str
    shift: Shift
    others: tuple[Shift, ...]
    slower: float
    faster: float
    base: int
    head: int
    hidden: bool = False


def judge(
    points: Sequence[Point], keys: Sequence[str], rule: Rule = DEFAULT, arms: tuple[str, str] = (BASE, HEAD)
) -> tuple[Finding, ...]:
    """A finding for each case that both arms timed, in the order of the keys."""
    first, second = arms
    found = [_finding(points, key, rule, first, second) for key in keys if _is_timed(points, key, first, second)]
    slower = holm({one.key: one.slower for one in found})
    faster = holm({one.key: one.faster for one in found})
    corrected = (replace(one, slower=slower[one.key], faster=faster[one.key]) for one in found)
    return tuple(_decided(one, rule) for one in corrected)


def holm(chances: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected so that the chance of any false one among them stays what it is of one alone."""
    corrected, running = {}, 0.0
    for place, key in enumerate(sorted(chances, key=chances.__getitem__)):
        running = max(running, min(1.0, chances[key] * (len(chances) - place)))
        corrected[key] = running
    return corrected


def _is_timed(points: Sequence[Point], key: str, *arms: str) -> bool:
    return all(any(one.arm == arm and key in one.timings for one in points) for arm in arms)


def _finding(points: Sequence[Point], key: str, rule: Rule, first: str, second: str) -> Finding:
    sides = [(values(points, first, key, one), values(points, second, key, one)) for one in rule.statistics]
    shifts = [shift(base, head, rule.confidence) for base, head in sides]
    slower = max(p_above(base, head) for base, head in sides)
    faster = max(p_above(head, base) for base, head in sides)
    base, head = sides[0]
    return Finding(key, UNCLEAR, shifts[0], tuple(shifts[1:]), slower, faster, len(base), len(head))


def _decided(one: Finding, rule: Rule) -> Finding:
    """The verdict: a change must be large by every statistic and sure; sameness must be sure as well."""
    limit = 1 + rule.threshold
    shifts = (one.shift, *one.others)
    if all(each.ratio >= limit for each in shifts) and one.slower < rule.significance:
        return replace(one, verdict=SLOWER)
    if all(each.ratio <= 1 / limit for each in shifts) and one.faster < rule.significance:
        return replace(one, verdict=FASTER)
    hidden = not 1 / limit < one.shift.ratio < limit
    if all(1 / limit < each.low and each.high < limit for each in shifts):
        return replace(one, verdict=SAME)
    return replace(one, hidden=hidden)
