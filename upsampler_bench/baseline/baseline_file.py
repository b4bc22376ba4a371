# torch-free
"""What of operators has no noise (Baseline), its file, and how two of them differ (Difference)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from upsampler_bench.errors import ResultsError
from upsampler_bench.storage import write_whole

SCHEMA = 1
# Of the root mean square. Other vector units (SSE, AVX2, AVX-512), threads and convolution libraries move a signature
# by at most 1e-5 of it; one element in a hundred that is off by a hundredth of the rms moves it by about 7e-4.
SIGNATURE_TOLERANCE = 1e-4
WORSE, BETTER, CHANGED, WRONG, ADDED, REMOVED = "worse", "better", "changed", "wrong", "added", "removed"
SAME_EXIT, CHANGED_EXIT, WRONG_EXIT = 0, 1, 4
FILE = Path("reports/baselines/cpu.json")
COMMAND = "upsampler-bench baseline update"


@dataclass(frozen=True, slots=True)
class Exact:
    """What is known of one operator without noise.

    Attributes:
        counts: multiply-adds, parameters and bytes, by the metric's name.
        output, gradient: signatures, see `exact.signature`; compared within SIGNATURE_TOLERANCE of their "rms".
        operations: ATen operators dispatched in one forward, by name.
        uncounted: operations that no FLOP handle knows.
        failed: why there is nothing of all that; begins with "wrong" where the output or the gradient is.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    output: Mapping[str, float] = field(default_factory=dict)
    gradient: Mapping[str, float] = field(default_factory=dict)
    operations: Mapping[str, int] = field(default_factory=dict)
    uncounted: str = ""
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a change is held against.

    Attributes:
        condition: the shape, scale, dtype, layout and device of it all, as in `Case.condition`.
        torch: the public version, such as "2.13.0"; operations depend on it.
        operators: by name.
        seed: of inputs and weights.
    """

    condition: str
    torch: str
    operators: Mapping[str, Exact]
    seed: int = 0
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is not what it was; `old` or `new` is None where there was or is none."""

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
    def exit_code(self) -> int:
        """4: an output is wrong; 1: something else changed; 0: nothing, or operators only came or went."""
        found = {one.verdict for one in self.changes} - {ADDED, REMOVED}
        return WRONG_EXIT if WRONG in found else CHANGED_EXIT if found else SAME_EXIT


def diff(old: Baseline, new: Baseline) -> Difference:
    """How `new` differs from `old`; operations only where torch is the same."""
    same_torch = old.torch == new.torch
    notes = [] if same_torch else [f"operations are of torch {old.torch}, here is {new.torch}: not compared"]
    changes: list[Change] = []
    for name in sorted({*old.operators, *new.operators}):
        before, after = old.operators.get(name), new.operators.get(name)
        if before is None or after is None:
            changes.append(
                Change(name, "", ADDED if before is None else REMOVED, new=after.failed or None if after else None)
            )
            continue
        comparable = replace(after, operations=after.operations if same_torch else before.operations)
        changes.extend(_changes(name, before, comparable))
    return Difference(tuple(changes), tuple(notes))


def _changes(name: str, old: Exact, new: Exact) -> Iterator[Change]:
    if old.failed or new.failed:
        # What a failure says may hold a path or an address: another sentence is no other failure.
        if new.failed or old.failed:
            verdict = WRONG if new.failed.startswith("wrong") else WORSE if new.failed else BETTER
            yield Change(name, "failed", verdict, old.failed or None, new.failed or None)
        return
    for what in ("output", "gradient"):
        yield from _signature(name, what, getattr(old, what), getattr(new, what))
    yield from _counts(name, "", old.counts, new.counts)
    if old.uncounted != new.uncounted:
        yield Change(name, "uncounted", CHANGED, old.uncounted or None, new.uncounted or None)
    yield from _counts(name, "", {"operations": total(old)}, {"operations": total(new)})
    yield from _counts(name, "of them ", old.operations, new.operations)


def _counts(name: str, what: str, old: Mapping[str, int | None], new: Mapping[str, int | None]) -> Iterator[Change]:
    for metric in sorted({*old, *new}):
        before, after = old.get(metric), new.get(metric)
        if before != after:
            verdict = CHANGED if what or before is None else WORSE if (after or 0) > (before or 0) else BETTER
            yield Change(name, f"{what}{metric}", verdict, before, after)


def _signature(name: str, what: str, old: Mapping[str, float], new: Mapping[str, float]) -> Iterator[Change]:
    worst = max(old, key=lambda part: _off(part, old, new), default="")
    if worst and _off(worst, old, new) > SIGNATURE_TOLERANCE:
        yield Change(name, f"{what} {worst}", WRONG, old[worst], new.get(worst))


def _off(part: str, old: Mapping[str, float], new: Mapping[str, float]) -> float:
    """How far a part of a signature is off, as a share of the root mean square."""
    scale = max(abs(old.get("rms", 0.0)), abs(new.get("rms", 0.0))) or 1.0
    return abs(new[part] - old[part]) / scale if part in new else 1.0


def total(one: Exact) -> int:
    """The operations of one forward."""
    return sum(one.operations.values())


def settled(old: Baseline, new: Baseline) -> Baseline:
    """`new`, with `old` values where they differ by rounding alone: a file written anew shows only what changed."""
    operators = {
        name: _settled(old.operators[name], one) if name in old.operators else one
        for name, one in new.operators.items()
    }
    return replace(new, operators=operators)


def _settled(old: Exact, new: Exact) -> Exact:
    changed = {one.metric.partition(" ")[0] for one in _changes("", old, new)}
    kept = {what: getattr(old, what) for what in ("output", "gradient") if {what, "failed"}.isdisjoint(changed)}
    return replace(new, **kept)


def save(baseline: Baseline, path: Path) -> None:
    """Writes the file, keys sorted and one value a line, so that a diff of it shows what changed.

    Raises:
        OutputError: the place cannot be written.
    """
    plain = asdict(baseline)
    plain["operators"] = {name: _plain(one) for name, one in baseline.operators.items()}
    write_whole(path, (json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def _plain(one: Exact) -> dict[str, object]:
    """An operator without what is empty, with the number of its operations, which load leaves aside."""
    values = {name: value for name, value in asdict(one).items() if value not in ("", None, {})}
    return {**values, "operations_total": total(one)} if one.operations else values


def load(path: Path) -> Baseline:
    """Reads a baseline.

    Raises:
        ResultsError: there is none, it is not a baseline, or of another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultsError(f"no baseline at {path}; '{_making(path)}' makes one") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise ResultsError(f"cannot read {path} as a baseline: {problem}; {_remedy(path)}") from problem
    schema = data.get("schema") if isinstance(data, Mapping) else None
    if schema != SCHEMA:
        raise ResultsError(f"{path} is no baseline of schema {SCHEMA}: found {schema!r}; {_remedy(path)}")
    try:
        return _baseline(data)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        said = f"{type(problem).__name__} {problem}"
        raise ResultsError(f"{path} is not a whole baseline: {said}; {_remedy(path)}") from problem


def _remedy(path: Path) -> str:
    return f"name another --file, or delete this one and '{_making(path)}' makes it"


def _making(path: Path) -> str:
    return COMMAND if path == FILE else f"{COMMAND} --file {path}"


def _baseline(data: Mapping[str, Any]) -> Baseline:
    operators = {str(name): _exact(one) for name, one in data["operators"].items()}
    return Baseline(str(data["condition"]), str(data["torch"]), operators, _whole(data["seed"]))


def _exact(data: Mapping[str, Any]) -> Exact:
    return Exact(
        counts=_each(_whole, data.get("counts", {})),
        output=_each(float, data.get("output", {})),
        gradient=_each(float, data.get("gradient", {})),
        operations=_each(_whole, data.get("operations", {})),
        uncounted=str(data.get("uncounted", "")),
        failed=str(data.get("failed", "")),
    )


def _each(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): kind(value) for name, value in values.items()}


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def only(baseline: Baseline, names: Iterable[str]) -> Baseline:
    """The baseline of these operators alone, as far as it has them."""
    wanted = set(names)
    return replace(baseline, operators={name: one for name, one in baseline.operators.items() if name in wanted})
