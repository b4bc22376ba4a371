# torch-free
"""The rule: from the samples of two sides to a verdict for each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from upsampler_bench.compare.rank_test import Shift, p_above, shift
from upsampler_bench.compare.samples import BASE, HEAD, Sample, timings

SLOWER, FASTER, SAME, UNCLEAR = "SLOWER", "FASTER", "SAME", "UNCLEAR"
# Processes per side after which the rule is applied; a case that is still UNCLEAR gets more.
LOOKS = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a difference counts as a change. Compared is the fastest call of each process.

    Attributes:
        threshold: relative; smaller changes are ignored.
        significance: chance of any false SLOWER, and of any false FASTER, over all cases together (Holm).
    """

    threshold: float = 0.05
    significance: float = 0.05


DEFAULT = Rule()


@dataclass(frozen=True, slots=True)
class Result:
    """One case of a comparison.

    Attributes:
        verdict: SLOWER, FASTER, SAME or UNCLEAR.
        shift: head over base.
        slower, faster: p of each direction, corrected for all cases.
        base, head: how many processes timed it.
        insignificant: UNCLEAR, although the ratio exceeds the threshold: it is not statistically significant.
    """

    key: str
    verdict: str
    shift: Shift
    slower: float
    faster: float
    base: int
    head: int
    insignificant: bool = False


def judge(
    samples: Sequence[Sample], keys: Sequence[str], rule: Rule = DEFAULT, sides: tuple[str, str] = (BASE, HEAD)
) -> tuple[Result, ...]:
    """A result for each case that both sides timed, in the order of the keys."""
    values = {}
    for key in keys:
        base, head = ([timing.fastest for timing in timings(samples, side, key)] for side in sides)
        if base and head:
            values[key] = base, head
    slower = holm({key: p_above(base, head) for key, (base, head) in values.items()})
    faster = holm({key: p_above(head, base) for key, (base, head) in values.items()})
    results = []
    for key, (base, head) in values.items():
        ratio = shift(base, head)
        verdict = decide(ratio, slower[key], faster[key], rule)
        exceeds = not 1 / (1 + rule.threshold) < ratio.ratio < 1 + rule.threshold
        insignificant = exceeds and verdict == UNCLEAR
        results.append(Result(key, verdict, ratio, slower[key], faster[key], len(base), len(head), insignificant))
    return tuple(results)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected (Holm) so that the chance of any false one among them is that of a single one."""
    corrected, largest = {}, 0.0
    for rank, key in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[key] * (len(p_values) - rank)))
        corrected[key] = largest
    return corrected


def decide(ratio: Shift, slower: float, faster: float, rule: Rule) -> str:
    """SLOWER and FASTER exceed the threshold and are significant; SAME has its interval within the threshold."""
    limit = 1 + rule.threshold
    if ratio.ratio >= limit and slower < rule.significance:
        return SLOWER
    if ratio.ratio <= 1 / limit and faster < rule.significance:
        return FASTER
    return SAME if 1 / limit < ratio.low and ratio.high < limit else UNCLEAR


def look(
    samples: Sequence[Sample], keys: Sequence[str], rule: Rule, earlier: Mapping[str, Result]
) -> dict[str, Result]:
    """The results after one of LOOKS; a case that an earlier look decided keeps its verdict.

    Each look spends its share of the rule's significance, so that several looks raise no more false alarms than one.
    """
    share = replace(rule, significance=rule.significance / len(LOOKS))
    results = {result.key: result for result in judge(samples, keys, share)}
    results |= {key: result for key, result in earlier.items() if result.verdict != UNCLEAR}
    return {key: results[key] for key in keys if key in results}
