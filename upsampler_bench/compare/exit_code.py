# torch-free
"""What a comparison ends with: the exit code that a job stands or falls by."""

from __future__ import annotations

from collections.abc import Sequence

from upsampler_bench.compare.budgets import BROKEN, Held
from upsampler_bench.compare.comparison import INTERRUPTED, Duel
from upsampler_bench.compare.rule import SLOWER, UNCLEAR

FINE, REGRESSION, INCONCLUSIVE, WRONG = 0, 1, 3, 4
STOPPED = 130
REGRESSIONS, SLOWERS, INCONCLUSIVES, NEVER = "regression", "slower", "inconclusive", "never"
FAIL_ON = (REGRESSIONS, SLOWERS, INCONCLUSIVES, NEVER)


def code(duels: Sequence[Duel], fail_on: str, held: Sequence[Held] = ()) -> int:
    """The exit code: what is worst decides, and nothing fails a job that was asked never to.

    Args:
        duels: the comparisons.
        fail_on: one of FAIL_ON; "slower" leaves exact figures to what else holds them, such as a committed baseline;
            "inconclusive" fails on regressions too.
        held: budgets held against the head.
    """
    if any(one.stopped == INTERRUPTED for one in duels):
        return STOPPED
    if fail_on == NEVER:
        return FINE
    if any(one.wrong for one in duels):
        return WRONG
    if regressed(duels, exact=fail_on != SLOWERS) or any(one.verdict == BROKEN for one in held):
        return REGRESSION
    return INCONCLUSIVE if fail_on == INCONCLUSIVES and _is_unclear(duels, held) else FINE


def regressed(duels: Sequence[Duel], *, exact: bool = True) -> bool:
    """Whether anything is surely worse: a time that the control vouches for, a case that was lost, an exact figure."""
    return any(
        (one.of(SLOWER) and not one.is_advisory)
        or (exact and one.alike and any(each.head > each.base for each in one.changes))
        or one.newly_lost
        for one in duels
    )


def _is_unclear(duels: Sequence[Duel], held: Sequence[Held]) -> bool:
    unclear = any(one.of(UNCLEAR) or one.is_advisory or len(one.findings) < len(one.keys) for one in duels)
    return unclear or any(one.verdict == UNCLEAR for one in held)
