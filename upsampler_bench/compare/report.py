# torch-free
"""A comparison as a report, which every format renders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

from upsampler_bench import units
from upsampler_bench.compare.budgets import BudgetResult
from upsampler_bench.compare.comparison import Change, Comparison
from upsampler_bench.compare.rule import FASTER, LOOKS, SAME, SLOWER, UNCLEAR, Result, Rule
from upsampler_bench.compare.samples import BASE, HEAD, count, timings
from upsampler_bench.recommend.limits import BY_METRIC
from upsampler_bench.report.parts import Cell, Column, Report, Row, Table

RESULTS = (
    Column("verdict", "Verdict", words=True),
    Column("ratio", "head / base", "×"),
    Column("base", "base", "ms", rank=3),
    Column("head", "head", "ms", rank=3),
    Column("p", "p", rank=4),
    Column("processes", "Processes", rank=5, words=True),
)
CHANGES = (Column("base", "base"), Column("head", "head"), Column("change", "Change", "%"))
BUDGETS = (
    Column("verdict", "Verdict", words=True),
    Column("budget", "Budget", words=True),
    Column("value", "Measured", words=True),
)
WORST_FIRST = (SLOWER, FASTER, UNCLEAR, SAME)
MILLI = 1e-3
NOTHING_SHARED = "nothing to compare: no operator is in both revisions"


def report(comparisons: Sequence[Comparison], budgets: Sequence[BudgetResult] = ()) -> Report:
    """The summary in the facts, then a table per condition, worst results first."""
    first = comparisons[0]
    facts: list[tuple[str, str]] = []
    tables: list[Table] = []
    warnings: list[str] = []
    for comparison in comparisons:
        facts += _facts(comparison)
        tables += _tables(comparison)
        if comparison.no_longer_timed:
            warnings.append(f"No longer measured: {', '.join(map(_operator, comparison.no_longer_timed))}.")
    if any(comparison.false_alarms for comparison in comparisons):
        warnings.insert(0, "The control (the base against itself) differs: verdicts on time are advisory.")
    if budgets:
        tables.append(Table("Budgets", BUDGETS, tuple(map(_budget_row, budgets))))
    return Report(
        f"{first.head} compared with {first.base}",
        facts=tuple(facts),
        tables=tuple(tables),
        legend=_legend(first.rule) if tables else (),
        warning=" ".join(warnings),
    )


def summary(comparison: Comparison) -> str:
    """One sentence: how many of each verdict, and the geometric mean."""
    verdicts = Counter(result.verdict for result in comparison.results)
    counts = [f"{verdicts[verdict]} {verdict}" for verdict in (SLOWER, FASTER, SAME, UNCLEAR) if verdicts[verdict]]
    parts = [", ".join(counts) or ("nothing was compared" if comparison.keys else NOTHING_SHARED)]
    if comparison.mean_ratio:
        parts.append(f"geometric mean {units.fixed(comparison.mean_ratio, 3)}×")
    if insignificant := sum(result.insignificant for result in comparison.results):
        verb = "was" if insignificant == 1 else "were"
        parts.append(f"{insignificant} exceeded the threshold but {verb} not statistically significant")
    return "; ".join(parts)


def _facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    where = f": {comparison.condition}" if comparison.keys else ""
    yield "Compared", f"{comparison.base} with {comparison.head}{where}"
    yield from _machines(comparison)
    yield "Result", summary(comparison)
    if comparison.keys:
        alarms = ", ".join(map(_operator, comparison.false_alarms))
        yield "Control", f"base against itself: {alarms or 'no false alarm'}"
        processes = f"{count(comparison.samples, BASE)} + {count(comparison.samples, HEAD)} processes, alternating"
        yield "Sampling", f"{processes}, in {comparison.seconds:.0f} s; stopped: {comparison.stopped}"
    if comparison.added:
        yield "Added operators", ", ".join(comparison.added)
    if comparison.removed:
        yield "Removed operators", ", ".join(comparison.removed)
    for note in comparison.notes:
        yield "Note", note


def _machines(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Where it was measured; per side if the sides differ, in torch for example."""
    base, head = (
        sorted({sample.machine for sample in comparison.samples if sample.side == side and sample.machine})
        for side in (BASE, HEAD)
    )
    if base == head:
        yield from (("Device", machine) for machine in base)
        return
    yield from (("Device of the base", machine) for machine in base)
    yield from (("Device of the head", machine) for machine in head)


def _tables(comparison: Comparison) -> Iterator[Table]:
    if not comparison.keys:
        return
    rows = [
        Row(
            _row_name(comparison, result.key),
            _result_cells(comparison, result),
            reason=_problem(comparison, result.key),
        )
        for result in sorted(comparison.results, key=lambda result: WORST_FIRST.index(result.verdict))
    ]
    with_result = {result.key for result in comparison.results}
    for key in comparison.keys:
        if key not in with_result:
            reason = _problem(comparison, key) or "not timed"
            rows.append(Row(_row_name(comparison, key), (Cell(),) * len(RESULTS), "failed", reason))
    yield Table(f"Latency: {comparison.condition}", _columns(comparison, RESULTS), tuple(rows))
    if comparison.changes:
        verb = "changed" if comparison.same_operators else "differ"
        changes = tuple(_change_row(comparison, change) for change in comparison.changes)
        yield Table(f"Deterministic metrics that {verb}", _columns(comparison, CHANGES), changes)


def _problem(comparison: Comparison, key: str) -> str:
    """What went wrong with a case in one process or in all."""
    return comparison.wrong.get(key) or comparison.lost.get(key, "")


def _result_cells(comparison: Comparison, result: Result) -> tuple[Cell, ...]:
    ratio, low, high = result.shift.ratio, result.shift.low, result.shift.high
    ratio_cell = Cell(units.fixed(ratio, 3), ratio)
    if low > 0:
        interval = f"{units.fixed(low, 3)}–{units.fixed(high, 3)}"
        ratio_cell = replace(ratio_cell, low=low, high=high, interval=interval)
    times = []
    for side in (BASE, HEAD):
        fastest = [timing.fastest for timing in timings(comparison.samples, side, result.key)]
        milliseconds = median(fastest) / MILLI
        times.append(Cell(units.short(milliseconds), milliseconds))
    p = min(result.slower, result.faster)
    p_cell = Cell(f"{p:.1g}" if p < 0.1 else units.fixed(p, 2), p)
    return (Cell(result.verdict), ratio_cell, *times, p_cell, Cell(f"{result.base}+{result.head}"))


def _change_row(comparison: Comparison, change: Change) -> Row:
    percent = (change.head / change.base - 1) * 100 if change.base else None
    changed = Cell("new") if percent is None else Cell(f"{percent:+.3g}", percent)
    name = f"{_operator(change.key)} {change.metric}" if comparison.same_operators else change.metric
    return Row(name, (Cell(f"{change.base:,.0f}", change.base), Cell(f"{change.head:,.0f}", change.head), changed))


def _budget_row(result: BudgetResult) -> Row:
    limit = result.budget.limit
    name = f"{result.budget.operator} {limit.metric}"
    text = result.reason
    if result.value is not None:
        value = result.value.value
        if limit.relative:
            text = f"{units.fixed(value, 3)}×"
        else:
            unit = BY_METRIC[limit.metric].unit
            text = f"{units.exact(value / unit.size)} {unit.name}".strip()
        text = f"{text}; {result.reason}" if result.reason else text
    return Row(name, (Cell(result.verdict), Cell(result.budget.text), Cell(text)))


def _operator(key: str) -> str:
    return key.partition("/")[0]


def _row_name(comparison: Comparison, key: str) -> str:
    return _operator(key) if comparison.same_operators else f"{comparison.head} vs {comparison.base}"


def _columns(comparison: Comparison, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Two operators have their own names in the titles."""
    if comparison.same_operators:
        return columns
    base, head = comparison.base, comparison.head
    titles = {"base": base, "head": head, "ratio": f"{head} / {base}"}
    return tuple(replace(column, title=titles.get(column.name, column.title)) for column in columns)


def _legend(rule: Rule) -> tuple[tuple[str, str], ...]:
    return (
        (
            "SLOWER, FASTER",
            f"the ratio of the fastest calls of each process is at least {1 + rule.threshold:g} (or its inverse), and "
            f"a rank test over the processes is significant at {rule.significance / len(LOOKS):.2g} over all cases "
            "(Holm), at each of the looks",
        ),
        ("SAME", "the 95 % interval of the ratio lies within the threshold"),
        ("UNCLEAR", "neither; more processes, a quieter machine or a larger shape may decide it"),
        ("p, Processes", "of the rank test, corrected for all cases; processes of the base and of the head"),
    )
