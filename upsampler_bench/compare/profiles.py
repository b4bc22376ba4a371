# torch-free
"""Two profiles compared part by part: what takes more or less time, what is new and what is no longer there."""

from __future__ import annotations

from dataclasses import replace

from upsampler_bench import units
from upsampler_bench.report.parts import NOTHING, Cell, Column, Report, Row, Table
from upsampler_bench.report.profiles import METRICS
from upsampler_bench.results import Part, Run

COLUMNS = (
    Column("within", "In", words=True),
    Column("calls", "Calls", words=True),
    Column("before", "Before", "ms"),
    Column("after", "After", "ms"),
    Column("change", "Change", "ms"),
    Column("what", "What changed", words=True),
)
# Of the time before: smaller changes are left out.
SMALL = 0.01
TIME = "time"


def changes(before: Run, after: Run) -> Report:
    """A table for each case that both runs profiled: what is called more or less often first, then by time.

    A case on another device is the same case, and so is one on another backend if each run has a single one.
    """
    tables = []
    for metric in METRICS:
        old, new = _profiles(before, metric), _profiles(after, metric)
        tables += [_table(name, old[name], new[name]) for name in old if name in new]
    return Report("Profiles compared", tables=(), profiles=tuple(tables))


def _profiles(run: Run, metric: str) -> dict[str, tuple[Part, ...]]:
    """The parts by the words of a case: operator, shape, dtype and mode."""
    found = {}
    for measurement, reading in run.readings():
        if reading.metric == metric and reading.parts:
            case = measurement.case
            condition = replace(case, device="").condition
            found[f"{case.label(run.backends)}, {condition}, {case.mode}"] = reading.parts
    return found


def _table(name: str, old: tuple[Part, ...], new: tuple[Part, ...]) -> Table:
    before, after = _by_key(old), _by_key(new)
    total, now = (sum(part.seconds for part in parts) for parts in (old, new))
    pairs = {key: (before.get(key), after.get(key)) for key in [*before, *after]}
    ordered = sorted(pairs.items(), key=lambda item: (_what(*item[1]) == TIME, -abs(_change(*item[1]))))
    rows = [_row(key, *pair) for key, pair in ordered if _what(*pair) != TIME or abs(_change(*pair)) >= SMALL * total]
    title = f"{name}: {units.rough(1e3 * total)} ms before, {units.rough(1e3 * now)} ms after"
    return Table(title, COLUMNS, tuple(rows), subject="Operation")


def _by_key(parts: tuple[Part, ...]) -> dict[tuple[str, str], Part]:
    found: dict[tuple[str, str], Part] = {}
    for part in parts:
        key = part.name, part.within
        found[key] = found[key].plus(part) if key in found else part
    return found


def _change(old: Part | None, new: Part | None) -> float:
    return (new.seconds if new else 0.0) - (old.seconds if old else 0.0)


def _row(key: tuple[str, str], old: Part | None, new: Part | None) -> Row:
    name, within = key
    times = (old.seconds if old else 0.0, new.seconds if new else 0.0, _change(old, new))
    numbers = (Cell(units.rough(1e3 * value), 1e3 * value) if value else Cell() for value in times)
    words = Cell(within or NOTHING), Cell(" → ".join(_calls(old, new)))
    return Row(name, (*words, *numbers, Cell(_what(old, new))))


def _calls(old: Part | None, new: Part | None) -> list[str]:
    counts = [str(part.calls) if part else "0" for part in (old, new)]
    return counts[:1] if counts[0] == counts[1] else counts


def _what(old: Part | None, new: Part | None) -> str:
    if old is None:
        return "new"
    if new is None:
        return "removed"
    return "calls" if old.calls != new.calls else TIME
