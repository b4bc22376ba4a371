# torch-free
"""Absolute budgets of a TOML file held against the head of a comparison.

A table an operator, a line a metric: `latency = "1.5x bilinear"` or `"2 ms"`, `memory = "160 MiB"`, `gflops`, `params`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from upsampler_bench.case import INFERENCE, TIMED, TRAIN
from upsampler_bench.compare.comparison import Duel
from upsampler_bench.compare.rule import UNCLEAR
from upsampler_bench.compare.samples import HEAD, STATISTICS, Point
from upsampler_bench.discovery import nearest
from upsampler_bench.errors import PlanError
from upsampler_bench.recommend.limits import QUANTITIES, Limit, parse
from upsampler_bench.stats import Estimate, estimate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KEPT, BROKEN = "KEPT", "BROKEN"
# What is the same in every mode.
EITHER = ("params", "gflops")


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a metric of an operator may be; `against` is the operator that a ratio is to, else empty."""

    operator: str
    limit: Limit
    against: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A budget held against what was measured; no value: why not."""

    budget: Budget
    verdict: str
    value: Estimate | None = None
    why: str = ""


def read(path: Path, mode: str) -> tuple[Budget, ...]:
    """The budgets of a file.

    Raises:
        PlanError: it cannot be read, a line of it is not understood, or is of what this mode does not measure.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise PlanError(f"cannot read budgets from {path}: {problem}") from problem
    budgets = []
    for operator, lines in found.items():
        if not isinstance(lines, dict):
            raise PlanError(
                f"{path}: {operator!r} is no table; expected [{operator}] with lines such as latency = '1.5x bilinear'"
            )
        budgets += [_budget(path, operator, metric, text, mode) for metric, text in lines.items()]
    return tuple(budgets)


def _budget(path: Path, operator: str, metric: str, text: object, mode: str) -> Budget:
    if not isinstance(text, str):
        raise PlanError(
            f"{path}: {operator}.{metric} is {text!r}; expected a text such as '1.5x bilinear' or '160 MiB'"
        )
    name = metric.replace("_", "-")
    if name not in QUANTITIES:
        raise PlanError(f"{path}: {operator} has no metric {metric!r}; {nearest(metric, tuple(QUANTITIES))}")
    if name not in EITHER and name.startswith("train-") != (mode == TRAIN):
        raise PlanError(f"{path}: {operator}.{metric} is not measured in mode {mode}; expected --mode {_other(mode)}")
    plain = text.strip().replace("×", "x")
    amount, _, against = plain.partition("x ") if "x " in plain else (plain, "", "")
    limit = parse(name, f"{amount}x" if against else amount, f"{path}: {operator}.{metric}")
    if limit.relative and not against:
        raise PlanError(
            f"{path}: {operator}.{metric} is {text!r}; say against which operator, such as '{text} bilinear'"
        )
    return Budget(operator, limit, against.strip(), text)


def _other(mode: str) -> str:
    return INFERENCE if mode == TRAIN else TRAIN


def hold(budgets: Sequence[Budget], duels: Sequence[Duel]) -> tuple[Held, ...]:
    """Each budget held against the head's processes, and what of it is exact against its count."""
    return tuple(held for one in budgets for held in _everywhere(one, duels))


def _everywhere(budget: Budget, duels: Sequence[Duel]) -> list[Held]:
    found = [_held(budget, one) for one in duels if budget.operator in _keys(one)]
    return found or [Held(budget, UNCLEAR, why="not compared here")]


def _keys(duel: Duel) -> Mapping[str, str]:
    return {key.partition("/")[0]: key for key in duel.keys}


def _held(budget: Budget, duel: Duel) -> Held:
    key, other = _keys(duel)[budget.operator], _keys(duel).get(budget.against, "")
    if budget.against and not other:
        return Held(budget, UNCLEAR, why=f"{budget.against} was not measured beside it")
    if budget.limit.metric not in TIMED.values():
        value = _counted(budget, duel, key, other)
        if value is None:
            return Held(budget, UNCLEAR, why="not counted")
        exact = Estimate(value, value, value, 1)
        return Held(budget, KEPT if value <= budget.limit.most else BROKEN, exact)
    found = [value for one in duel.points if (value := _of(one, key, other)) is not None]
    if not found:
        return Held(budget, UNCLEAR, why="not timed")
    timed = estimate(found)
    if timed.is_bounded and timed.high <= budget.limit.most:
        return Held(budget, KEPT, timed)
    return Held(budget, BROKEN if timed.is_bounded and timed.low > budget.limit.most else UNCLEAR, timed)


def _counted(budget: Budget, duel: Duel, key: str, other: str) -> float | None:
    """The head's exact figure, or its ratio to the other operator's."""
    value, against = (duel.exact.get(one, {}).get(budget.limit.metric) for one in (key, other))
    if not budget.limit.relative or value is None:
        return value
    return value / against if against else None


def _of(point: Point, key: str, other: str) -> float | None:
    """What one process of the head says: seconds, or the ratio of two operators that were timed in it interleaved."""
    if point.arm != HEAD or key not in point.timings or (other and other not in point.timings):
        return None
    of = STATISTICS["median"]
    return of(point.timings[key]) / (of(point.timings[other]) if other else 1.0)
