# torch-free
"""A measured comparison as a report, which every format renders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

from upsampler_bench import units
from upsampler_bench.case import TIMED
from upsampler_bench.compare.budgets import Held
from upsampler_bench.compare.comparison import Change, Duel, count
from upsampler_bench.compare.rule import FASTER, SAME, SLOWER, UNCLEAR, Finding
from upsampler_bench.compare.samples import BASE, HEAD, values
from upsampler_bench.report.parts import Cell, Column, Report, Row, Table
from upsampler_bench.stats import Estimate

COLUMNS = (
    Column("verdict", "Verdict", words=True),
    Column("ratio", "head / base", "×"),
    Column("base", "base", "ms", rank=3),
    Column("head", "head", "ms", rank=3),
    Column("p", "p", rank=4),
    Column("processes", "Processes", rank=5, words=True),
)
EXACT = (Column("base", "base"), Column("head", "head"), Column("change", "Change", "%"))
BUDGETS = (
    Column("verdict", "Verdict", words=True),
    Column("budget", "Budget", words=True),
    Column("value", "Measured", words=True),
)
STATISTICS_IN_WORDS = {"least": "the fastest call of each process"}
MILLI, MIB = 1e-3, 2**20


def report(duels: Sequence[Duel], held: Sequence[Held] = ()) -> Report:
    """What was found, worst first where a reader looks: the summary in the facts, a table a condition."""
    first = duels[0]
    tables = [table for one in duels for table in _tables(one)]
    return Report(
        f"{first.head} against {first.base}",
        facts=tuple(fact for one in duels for fact in _facts(one)),
        tables=(*tables, *([_budgets(held)] if held else [])),
        legend=tuple(_legend(first)),
        warning=" ".join(_warnings(duels)),
    )


def summary(duel: Duel) -> str:
    """One sentence: how many of each verdict, and the geometric mean."""
    counts = [f"{len(duel.of(one))} {one}" for one in (SLOWER, FASTER, SAME, UNCLEAR) if duel.of(one)]
    mean = f"; geometric mean {units.fixed(duel.mean, 3)}×" if duel.mean else ""
    hidden = f"; {duel.hidden} beyond the threshold, no surer than noise, not told as changes" if duel.hidden else ""
    return f"{', '.join(counts) or 'nothing was compared'}{mean}{hidden}"


def _facts(duel: Duel) -> Iterator[tuple[str, str]]:
    yield "Compared", f"{duel.base} with {duel.head}: {duel.condition}"
    yield from _places(duel)
    yield "Found", summary(duel)
    alarms = [one.key.partition("/")[0] for one in duel.control if one.verdict in (SLOWER, FASTER)]
    yield "Control", f"base against itself: {', '.join(alarms) or 'no alarm'}"
    sides = f"{count(duel.points, BASE)} and {count(duel.points, HEAD)} processes, alternating"
    yield "Sampling", f"{sides}, in {duel.seconds:.0f} s; ended: {duel.stopped}"
    if duel.added or duel.removed:
        parts = [
            f"{word} {', '.join(names)}" for word, names in (("added", duel.added), ("removed", duel.removed)) if names
        ]
        yield "Operators", "; ".join(parts)
    for note in duel.notes:
        yield "Note", note


def _places(duel: Duel) -> Iterator[tuple[str, str]]:
    """Where it was measured; two lines where the sides say different things, such as another torch."""
    found = {arm: {one.where for one in duel.points if one.arm == arm and one.where} for arm in (BASE, HEAD)}
    if found[BASE] == found[HEAD]:
        yield from (("Device", one) for one in sorted(found[BASE]))
        return
    yield from ((f"Device of the {arm}", one) for arm in (BASE, HEAD) for one in sorted(found[arm]))


def _tables(duel: Duel) -> Iterator[Table]:
    order = {SLOWER: 0, FASTER: 1, UNCLEAR: 2, SAME: 3}
    rows = [_row(duel, one) for one in sorted(duel.findings, key=lambda one: order[one.verdict])]
    found = {one.key for one in duel.findings}
    for key in (one for one in duel.keys if one not in found):
        why = duel.wrong.get(key) or duel.lost.get(key, "not timed")
        rows.append(Row(_called(duel, key), tuple(Cell() for _ in COLUMNS), "failed", why))
    yield Table(f"Latency: {duel.condition}", _columns(duel, COLUMNS), tuple(rows))
    if duel.changes:
        title = "Exact figures that changed" if duel.alike else "Exact figures that differ"
        yield Table(title, _columns(duel, EXACT), tuple(_change(duel, one) for one in duel.changes))


def _row(duel: Duel, one: Finding) -> Row:
    times = [_time(values(duel.points, arm, one.key, duel.rule.statistics[0])) for arm in (BASE, HEAD)]
    shift = Estimate(one.shift.ratio, one.shift.low, one.shift.high, min(one.base, one.head))
    cells = (Cell(one.verdict), _ratio(shift), *times, _chance(one), Cell(f"{one.base}+{one.head}"))
    return Row(_called(duel, one.key), cells)


def _name(key: str) -> str:
    return key.partition("/")[0]


def _ratio(one: Estimate) -> Cell:
    if one.low <= 0:
        return Cell(units.fixed(one.value, 3), one.value)
    interval = f"{units.fixed(one.low, 3)}–{units.fixed(one.high, 3)}"
    return Cell(units.fixed(one.value, 3), one.value, one.low, one.high, interval)


def _time(found: Sequence[float]) -> Cell:
    middle = median(found) / MILLI
    return Cell(units.short(middle), middle)


def _chance(one: Finding) -> Cell:
    chance = min(one.slower, one.faster)
    return Cell(f"{chance:.1g}" if chance < 0.1 else units.fixed(chance, 2), chance)


def _columns(duel: Duel, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Two operators stand under their own names."""
    if duel.alike:
        return columns
    titles = {"base": duel.base, "head": duel.head, "ratio": f"{duel.head} / {duel.base}"}
    return tuple(replace(one, title=titles.get(one.name, one.title)) for one in columns)


def _called(duel: Duel, key: str) -> str:
    return _name(key) if duel.alike else f"{duel.head} against {duel.base}"


def _change(duel: Duel, one: Change) -> Row:
    share = (one.head / one.base - 1) * 100 if one.base else None
    changed = Cell(f"{share:+.3g}", share) if share is not None else Cell("new")
    name = f"{_name(one.key)} {one.metric}" if duel.alike else one.metric
    return Row(name, (Cell(f"{one.base:,.0f}", one.base), Cell(f"{one.head:,.0f}", one.head), changed))


def _budgets(held: Sequence[Held]) -> Table:
    rows = [
        Row(
            f"{one.budget.operator} {one.budget.limit.metric}",
            (Cell(one.verdict), Cell(one.budget.text), Cell(_amount(one)) if one.value else Cell(one.why)),
        )
        for one in held
    ]
    return Table("Budgets", BUDGETS, tuple(rows))


def _amount(one: Held) -> str:
    assert one.value is not None
    if one.budget.limit.relative:
        return f"{units.fixed(one.value.value, 3)}×"
    metric, value = one.budget.limit.metric, one.value.value
    if metric in TIMED.values():
        return f"{value / MILLI:.3g} ms"
    return f"{value / MIB:.4g} MiB" if metric.endswith("memory") else f"{value:,.0f}"


def _legend(duel: Duel) -> Iterator[tuple[str, str]]:
    rule = duel.rule
    statistics = " and by ".join(STATISTICS_IN_WORDS.get(one, one) for one in rule.statistics)
    yield (
        "SLOWER, FASTER",
        (
            f"the ratio is beyond {1 + rule.threshold:g} (or its inverse) by {statistics}, and the rank test over the "
            f"processes finds a change at {rule.significance:.2g} over all cases (Holm)"
        ),
    )
    yield "SAME", f"the whole {rule.confidence:.0%} interval lies within the threshold"
    yield "p", "of the rank test, corrected for all cases; processes: of the base and of the head"
    yield "UNCLEAR", "neither: more processes, a quieter machine or a larger shape would tell"


def _warnings(duels: Sequence[Duel]) -> Iterator[str]:
    if any(one.is_advisory for one in duels):
        yield "The control raised an alarm (base against itself): the verdicts on time are advisory."
    for one in duels:
        if one.newly_lost:
            yield f"Not measured any more: {', '.join(map(_name, one.newly_lost))}."
