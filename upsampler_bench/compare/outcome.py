# torch-free
"""The outcome of a comparison: what a CI job passes or fails for."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from upsampler_bench.compare.budgets import BROKEN, BudgetResult
from upsampler_bench.compare.comparison import INTERRUPTED, Comparison
from upsampler_bench.compare.rule import SLOWER, UNCLEAR

ON_REGRESSION, ON_SLOWER, ON_INCONCLUSIVE, NEVER = FAIL_ON = "regression", "slower", "inconclusive", "never"


class Outcome(Enum):
    """How a comparison ended."""

    FINE = "fine"
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    WRONG_OUTPUT = "wrong output"
    INTERRUPTED = "interrupted"


def outcome(comparisons: Sequence[Comparison], fail_on: str, budgets: Sequence[BudgetResult] = ()) -> Outcome:
    """The worst that was found.

    Args:
        comparisons: one per condition.
        fail_on: one of FAIL_ON; "slower" ignores deterministic metrics, which a committed baseline may check instead;
            "inconclusive" fails on regressions too.
        budgets: checked on the head.
    """
    if any(comparison.stopped == INTERRUPTED for comparison in comparisons):
        return Outcome.INTERRUPTED
    if fail_on == NEVER:
        return Outcome.FINE
    if any(comparison.wrong for comparison in comparisons):
        return Outcome.WRONG_OUTPUT
    regressed = any(_is_regression(comparison, metrics=fail_on != ON_SLOWER) for comparison in comparisons)
    if regressed or any(budget.verdict == BROKEN for budget in budgets):
        return Outcome.REGRESSION
    unclear = any(map(_is_unclear, comparisons)) or any(budget.verdict == UNCLEAR for budget in budgets)
    return Outcome.INCONCLUSIVE if unclear and fail_on == ON_INCONCLUSIVE else Outcome.FINE


def _is_regression(comparison: Comparison, *, metrics: bool) -> bool:
    slower = comparison.with_verdict(SLOWER) and not comparison.false_alarms
    risen = metrics and comparison.same_operators and any(change.head > change.base for change in comparison.changes)
    return bool(slower or risen or comparison.no_longer_timed)


def _is_unclear(comparison: Comparison) -> bool:
    missing = len(comparison.results) < len(comparison.keys)
    return bool(comparison.with_verdict(UNCLEAR) or comparison.false_alarms or missing)
