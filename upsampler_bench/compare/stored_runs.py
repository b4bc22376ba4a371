# torch-free
"""Two stored runs compared: deterministic metrics must be equal, timings are advice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from upsampler_bench import units
from upsampler_bench.case import QUALITY
from upsampler_bench.compare.outcome import NEVER, ON_INCONCLUSIVE, ON_SLOWER, Outcome
from upsampler_bench.errors import PlanError
from upsampler_bench.report.parts import Cell, Column, Report, Row, Table
from upsampler_bench.results import MEASURED, Measurement, MetricInfo, Run

# Settings that change what is timed; how long it is timed only changes the precision.
SETTINGS = ("threads", "malloc", "cache", "cuda_graph")
ROUNDING = 1e-6
CHANGED, WORSE, BETTER, NO_CHANGE = "changed", "worse", "better", "no clear change"
CHANGES = (
    Column("metric", "Metric", words=True),
    Column("old", "old"),
    Column("new", "new"),
    Column("change", "Change", "%"),
)
TIMINGS = (
    Column("metric", "Metric", words=True),
    Column("ratio", "new / old", "×"),
    Column("advice", "Advice", words=True),
    Column("to_baseline", "relative to the baseline", "×", rank=3),
)
LEGEND = (
    ("worse, better", "beyond the threshold, in itself and relative to the baseline; advice only"),
    ("relative to the baseline", "new / old of the ratio to the baseline of each run: the machine's speed cancels"),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One metric of one case in both runs, in the metric's base unit.

    Attributes:
        verdict: CHANGED (deterministic metrics), WORSE, BETTER or NO_CHANGE.
        relative: new over old of the ratios to the baseline, in which the machine's speed cancels; None without them.
    """

    operator: str
    condition: str
    info: MetricInfo
    old: float
    new: float
    verdict: str
    relative: float | None = None

    @property
    def ratio(self) -> float | None:
        """New over old; None if the old value is zero."""
        return self.new / self.old if self.old else None


@dataclass(frozen=True, slots=True)
class RunComparison:
    """What two runs share, and what only one has.

    Attributes:
        pairs: every metric that both have.
        added, removed: keys of cases that only the new, or only the old, run has.
        lost: cases that the old run measured and the new one did not, with the reason.
        facts: for the report.
    """

    pairs: tuple[Pair, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    lost: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def changes(self) -> tuple[Pair, ...]:
        """Deterministic metrics that differ."""
        return tuple(pair for pair in self.pairs if pair.verdict == CHANGED)


def compare(old: Run, new: Run, threshold: float = 0.05) -> RunComparison:
    """Compares the new run with the old one; changes of a timing smaller than the threshold are ignored.

    Raises:
        PlanError: the runs were measured differently (lists how), or share no case.
    """
    if differences := _differences(old, new):
        raise PlanError(
            f"these runs are not comparable: {'; '.join(differences)} (measure both in the same way, on one device)"
        )
    before = {measurement.case.key: measurement for measurement in old.measurements}
    after = {measurement.case.key: measurement for measurement in new.measurements}
    shared = [key for key in before if key in after]
    if not shared:
        raise PlanError("these runs share no case: no operator was measured at the same shape, dtype and mode in both")
    pairs: list[Pair] = []
    lost = []
    for key in shared:
        pairs += _pairs(old, new, before[key], after[key], threshold)
        if before[key].status == MEASURED and after[key].status != MEASURED:
            lost.append((key, after[key].reason))
        lost += [(key, f"no {metric}") for metric in _missing(new, before[key], after[key])]
    torch = new.environment.versions.get("torch", "?")
    facts = [("Device", f"{new.environment.device_name}, torch {torch}")]
    facts += [(title, run.started) for title, run in (("Old run", old), ("New run", new)) if run.started]
    added = tuple(key for key in after if key not in before)
    removed = tuple(key for key in before if key not in after)
    return RunComparison(tuple(pairs), added, removed, tuple(lost), tuple(facts))


def _missing(new: Run, before: Measurement, after: Measurement) -> list[str]:
    """Deterministic metrics of a case that the new run was to read, and did not."""
    if after.status != MEASURED:
        return []
    read = {reading.metric for reading in after.readings if reading.samples}
    was_read = [reading.metric for reading in before.readings if reading.samples]
    return [name for name in was_read if name not in read and (info := new.metric(name)) and info.exact]


def _differences(old: Run, new: Run) -> list[str]:
    """What makes two runs different measurements, each as 'key: old, new'."""
    values = [
        ("device", old.environment.device_name, new.environment.device_name),
        ("torch", old.environment.versions.get("torch"), new.environment.versions.get("torch")),
        *((name, getattr(old.settings, name), getattr(new.settings, name)) for name in SETTINGS),
    ]
    before, after = ({reading.metric: reading.method for _, reading in run.readings()} for run in (old, new))
    values += [(f"method of {metric}", before[metric], after[metric]) for metric in before if metric in after]
    return [f"{name}: {first}, {second}" for name, first, second in values if first != second]


def _pairs(old: Run, new: Run, before: Measurement, after: Measurement, threshold: float) -> Iterator[Pair]:
    case = before.case
    for reading in before.readings:
        info, other = new.metric(reading.metric), after.reading(reading.metric)
        if info is None or other is None or not reading.samples or not other.samples or info.bounds:
            continue
        first, second = reading.estimate, other.estimate
        relative, verdict = None, NO_CHANGE
        if info.exact:
            verdict = NO_CHANGE if _is_same(info, first.value, second.value) else CHANGED
        elif info.relative:
            old_ratio, new_ratio = old.ratio(before.case, reading.metric), new.ratio(after.case, reading.metric)
            relative = new_ratio.value / old_ratio.value if old_ratio and old_ratio.value and new_ratio else None
            is_apart = second.low > first.high or second.high < first.low
            if info.lower_is_better and first.value and first.is_bounded and second.is_bounded and is_apart:
                verdict = _advice(second.value / first.value, relative, threshold)
        else:
            continue
        yield Pair(case.label(old.backends), case.group, info, first.value, second.value, verdict, relative)


def _is_same(info: MetricInfo, old: float, new: float) -> bool:
    """Whether a deterministic metric is the same; numbers of a signature have a sign, and differ by rounding."""
    return math.isclose(old, new, rel_tol=ROUNDING, abs_tol=ROUNDING) if info.mode == QUALITY else old == new


def _is_worse(pair: Pair) -> bool:
    old, new = (abs(pair.old), abs(pair.new)) if pair.info.mode == QUALITY else (pair.old, pair.new)
    return (new > old) == pair.info.lower_is_better


def _advice(ratio: float, relative: float | None, threshold: float) -> str:
    """A change must exceed the threshold in itself and, if there is a baseline, relative to it."""
    ratios = [ratio, relative or ratio]
    if min(ratios) >= 1 + threshold:
        return WORSE
    return BETTER if max(ratios) <= 1 / (1 + threshold) else NO_CHANGE


def outcome(comparison: RunComparison, fail_on: str) -> Outcome:
    """The worst that was found; timings of stored runs are never a regression."""
    if fail_on == NEVER:
        return Outcome.FINE
    worse = fail_on != ON_SLOWER and any(map(_is_worse, comparison.changes))
    if worse or comparison.lost:
        return Outcome.REGRESSION
    slower = any(pair.verdict == WORSE for pair in comparison.pairs)
    return Outcome.INCONCLUSIVE if slower and fail_on == ON_INCONCLUSIVE else Outcome.FINE


def report(comparison: RunComparison, old: str, new: str) -> Report:
    """The comparison as a report; `old` and `new` are what the runs are called."""
    several = len({pair.condition for pair in comparison.pairs}) > 1
    changes, timings = [], []
    for pair in comparison.pairs:
        name = f"{pair.operator} {pair.condition}" if several else pair.operator
        if pair.verdict == CHANGED:
            changes.append(Row(name, _change_cells(pair)))
        elif not pair.info.exact:
            timings.append(Row(name, _timing_cells(pair)))
    tables = (
        Table("Deterministic metrics that changed", CHANGES, tuple(changes)),
        Table("Timings, as advice: compare --base measures both sides together", TIMINGS, tuple(timings)),
    )
    deterministic = sum(pair.info.exact for pair in comparison.pairs)
    facts = [*comparison.facts, ("Deterministic metrics", f"{len(changes)} of {deterministic} changed")]
    if comparison.added:
        facts.append(("Added", ", ".join(comparison.added)))
    if comparison.removed:
        facts.append(("Removed", ", ".join(comparison.removed)))
    facts += [("No longer measured", f"{key}: {reason}") for key, reason in comparison.lost]
    return Report(
        f"{new} compared with {old}",
        tuple(facts),
        tuple(table for table in tables if table.rows),
        legend=LEGEND if timings else (),
    )


def _change_cells(pair: Pair) -> tuple[Cell, ...]:
    percent = Cell("new") if pair.ratio is None else Cell(f"{(pair.ratio - 1) * 100:+.3g}", (pair.ratio - 1) * 100)
    old, new = (Cell(units.exact(float(value)), value) for value in (pair.old, pair.new))
    return Cell(pair.info.title), old, new, percent


def _timing_cells(pair: Pair) -> tuple[Cell, ...]:
    ratio, relative = (Cell(units.fixed(value, 3), value) if value else Cell() for value in (pair.ratio, pair.relative))
    return Cell(pair.info.title), ratio, Cell(pair.verdict), relative
