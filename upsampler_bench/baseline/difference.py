# torch-free
"""How two baselines differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from upsampler_bench.baseline.baseline_file import Baseline, OperatorBaseline

# Of the root mean square. Other vector units (SSE, AVX2, AVX-512), threads and convolution libraries move a signature
# by at most 1e-5 of it; one element in a hundred that is off by a hundredth of the rms moves it by about 7e-4.
SIGNATURE_TOLERANCE = 1e-4
SIGNATURES = ("output", "gradient")
WORSE, BETTER, CHANGED, WRONG, ADDED, REMOVED = "worse", "better", "changed", "wrong", "added", "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs; `old` or `new` is None where it was not recorded."""

    operator: str
    metric: str
    verdict: str
    old: float | str | None = None
    new: float | str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """All changes, and in one sentence each what could not be compared."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Change, ...]:
        """The changes of operators that both have: those that a check fails for."""
        return tuple(change for change in self.changes if change.verdict not in (ADDED, REMOVED))

    @property
    def is_wrong(self) -> bool:
        """Whether an output or a gradient is wrong."""
        return any(change.verdict == WRONG for change in self.changes)


def diff(old: Baseline, new: Baseline) -> Difference:
    """How `new` differs from `old`; operations are compared only if the torch version is the same."""
    same_torch = old.torch == new.torch
    changes: list[Change] = []
    for name in sorted({*old.operators, *new.operators}):
        before, after = old.operators.get(name), new.operators.get(name)
        if before is None and after is not None:
            changes.append(Change(name, "", ADDED, new=after.failed or None))
        elif after is None:
            changes.append(Change(name, "", REMOVED))
        elif before is not None:
            changes += _operator_changes(name, before, after, same_torch)
    note = f"operations were recorded with torch {old.torch} and are not compared with those of torch {new.torch}"
    return Difference(tuple(changes), () if same_torch else (note,))


def keep_rounding(old: Baseline, new: Baseline) -> Baseline:
    """`new`, with the signatures of `old` where they differ only by rounding: its file then shows only real changes."""
    operators = dict(new.operators)
    for name, after in new.operators.items():
        before = old.operators.get(name)
        if before is None or before.failed or after.failed:
            continue
        for part in SIGNATURES:
            signature = getattr(before, part)
            if signature_change(name, part, signature, getattr(after, part)) is None:
                operators[name] = replace(operators[name], **{part: signature})
    return replace(new, operators=operators)


def signature_change(operator: str, part: str, old: Mapping[str, float], new: Mapping[str, float]) -> Change | None:
    """The number of a signature that differs most, if by more than the tolerance."""
    scale = max(abs(old.get("rms", 0.0)), abs(new.get("rms", 0.0))) or 1.0
    deviations = {key: abs(new[key] - old[key]) / scale if key in new and key in old else 1.0 for key in {**old, **new}}
    worst = max(deviations, key=deviations.__getitem__, default="")
    if not worst or deviations[worst] <= SIGNATURE_TOLERANCE:
        return None
    return Change(operator, f"{part} {worst}", WRONG, old.get(worst), new.get(worst))


def _operator_changes(name: str, old: OperatorBaseline, new: OperatorBaseline, same_torch: bool) -> Iterator[Change]:
    if new.failed:
        verdict = WRONG if new.failed.startswith(WRONG) else WORSE
        yield Change(name, "failed", verdict, old.failed or None, new.failed)
        return
    if old.failed:
        yield Change(name, "failed", BETTER, old.failed)
        return
    for part in SIGNATURES:
        if change := signature_change(name, part, getattr(old, part), getattr(new, part)):
            yield change
    yield from _count_changes(name, old, new)
    if old.uncounted != new.uncounted:
        yield Change(name, "uncounted", CHANGED, old.uncounted or None, new.uncounted or None)
    if same_torch:
        yield from _operation_changes(name, old, new)


def _count_changes(name: str, old: OperatorBaseline, new: OperatorBaseline) -> Iterator[Change]:
    for metric in sorted({*old.counts, *new.counts}):
        before, after = old.counts.get(metric), new.counts.get(metric)
        if before is None or after is None:
            yield Change(name, metric, CHANGED, before, after)
        elif before != after:
            yield Change(name, metric, _direction(before, after), before, after)


def _operation_changes(name: str, old: OperatorBaseline, new: OperatorBaseline) -> Iterator[Change]:
    total = old.operations_total, new.operations_total
    if total[0] != total[1]:
        yield Change(name, "operations", _direction(*total), *total)
    for operation in sorted({*old.operations, *new.operations}):
        before, after = old.operations.get(operation, 0), new.operations.get(operation, 0)
        if before != after:
            yield Change(name, operation, CHANGED, before, after)


def _direction(old: int, new: int) -> str:
    return WORSE if new > old else BETTER
