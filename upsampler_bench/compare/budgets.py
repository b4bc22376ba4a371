# torch-free
"""Absolute budgets of a TOML file, checked on the head of a comparison.

A table per operator, a line per metric: `latency = "1.5x bilinear"` or `"2 ms"`, `memory = "160 MiB"`, `params`, ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from upsampler_bench import plan
from upsampler_bench.case import INFERENCE, TIMED, TRAIN
from upsampler_bench.compare.comparison import Comparison
from upsampler_bench.compare.rule import UNCLEAR
from upsampler_bench.compare.samples import HEAD
from upsampler_bench.discovery import nearest
from upsampler_bench.errors import PlanError
from upsampler_bench.recommend.limits import QUANTITIES, Limit, parse
from upsampler_bench.stats import Estimate, between_processes, estimate

KEPT, BROKEN = "KEPT", "BROKEN"


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a metric of an operator may be; `reference` is the operator that a ratio is to, else empty."""

    operator: str
    limit: Limit
    reference: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class BudgetResult:
    """A budget and the head's value; without a value, the reason."""

    budget: Budget
    verdict: str
    value: Estimate | None = None
    reason: str = ""


def read(path: Path, mode: str) -> tuple[Budget, ...]:
    """The budgets of a file.

    Raises:
        PlanError: it cannot be read, a line is not understood, or a metric is not measured in this mode.
    """
    budgets = []
    for operator, lines in plan.toml(path).items():
        if not isinstance(lines, dict):
            raise PlanError(
                f"{path}: {operator!r} is not a table; expected [{operator}] with lines such as "
                f"latency = '1.5x bilinear'"
            )
        budgets += [_budget(path, operator, metric, text, mode) for metric, text in lines.items()]
    return tuple(budgets)


def _budget(path: Path, operator: str, metric: str, text: object, mode: str) -> Budget:
    line = f"{path}: {operator}.{metric}"
    if not isinstance(text, str):
        raise PlanError(f"{line} is {text!r}; expected a string such as '1.5x bilinear' or '160 MiB'")
    name = metric.replace("_", "-")
    if name not in QUANTITIES:
        raise PlanError(f"{path}: {operator} has no metric {metric!r}; {nearest(metric, tuple(QUANTITIES))}")
    if name.startswith("train-") != (mode == TRAIN):
        raise PlanError(
            f"{line} is not measured in mode {mode}; expected --mode {INFERENCE if mode == TRAIN else TRAIN}"
        )
    amount, times, reference = text.strip().replace("×", "x").partition("x ")
    limit = parse(name, amount + times.strip(), line)
    if limit.relative and not reference:
        raise PlanError(f"{line} is {text!r}; expected an operator that it is relative to, such as '{text} bilinear'")
    return Budget(operator, limit, reference.strip(), text)


def check(budgets: Sequence[Budget], comparisons: Sequence[Comparison]) -> tuple[BudgetResult, ...]:
    """Every budget under every condition that its operator was compared in."""
    results = []
    for budget in budgets:
        compared = [comparison for comparison in comparisons if budget.operator in _key_by_operator(comparison)]
        checked = [_check(budget, comparison) for comparison in compared]
        results += checked or [BudgetResult(budget, UNCLEAR, reason="not compared here")]
    return tuple(results)


def _key_by_operator(comparison: Comparison) -> dict[str, str]:
    return {key.partition("/")[0]: key for key in comparison.keys}


def _check(budget: Budget, comparison: Comparison) -> BudgetResult:
    keys = _key_by_operator(comparison)
    key, reference = keys[budget.operator], keys.get(budget.reference, "")
    if budget.reference and not reference:
        return BudgetResult(budget, UNCLEAR, reason=f"{budget.reference} was not measured with it")
    metric, most = budget.limit.metric, budget.limit.most
    if metric not in TIMED.values():
        count = _count(comparison, metric, key, reference)
        if count is None:
            return BudgetResult(budget, UNCLEAR, reason="not counted")
        return BudgetResult(budget, KEPT if count <= most else BROKEN, Estimate(count, count, count, 1))
    times = _times(comparison, key, reference)
    if not times:
        return BudgetResult(budget, UNCLEAR, reason="not timed")
    value = between_processes([estimate([time]) for time in times])
    if value.is_bounded and value.high <= most:
        return BudgetResult(budget, KEPT, value)
    if not value.is_bounded or value.low <= most:
        return BudgetResult(budget, UNCLEAR, value)
    if comparison.false_alarms:
        return BudgetResult(budget, UNCLEAR, value, "the control differs, so no time can be trusted")
    return BudgetResult(budget, BROKEN, value)


def _count(comparison: Comparison, metric: str, key: str, reference: str) -> float | None:
    """The head's deterministic metric, or its ratio to the reference's."""
    value = comparison.metrics.get(key, {}).get(metric)
    if not reference or value is None:
        return value
    reference_value = comparison.metrics.get(reference, {}).get(metric)
    return value / reference_value if reference_value else None


def _times(comparison: Comparison, key: str, reference: str) -> list[float]:
    """Of each process of the head: seconds, or the ratio of two operators that were timed interleaved."""
    times = []
    for sample in comparison.samples:
        timing, other = sample.timings.get(key), sample.timings.get(reference)
        if sample.side == HEAD and timing and (other or not reference):
            times.append(median(timing.rounds) / (median(other.rounds) if other else 1.0))
    return times
