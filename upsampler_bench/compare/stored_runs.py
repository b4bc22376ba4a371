# torch-free
"""Two stored runs held against each other: exact figures with no tolerance, timings as advice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from upsampler_bench import units
from upsampler_bench.compare.exit_code import FINE, INCONCLUSIVE, INCONCLUSIVES, NEVER, REGRESSION
from upsampler_bench.errors import PlanError
from upsampler_bench.report.parts import Cell, Column, Report, Row, Table
from upsampler_bench.results import MEASURED, MetricInfo, Run

# Settings that change what is timed; how long it is timed for changes only how well.
SETTINGS = ("threads", "compile", "malloc", "cache", "cuda_graph")
CHANGED, WORSE, BETTER, ALIKE = "changed", "worse", "better", "no clear change"
EXACT = (
    Column("metric", "Metric", words=True),
    Column("old", "old"),
    Column("new", "new"),
    Column("change", "Change", "%"),
)
TIMED = (
    Column("metric", "Metric", words=True),
    Column("ratio", "new / old", "×"),
    Column("advice", "Advice", words=True),
    Column("to_baseline", "baseline cancelled", "×", rank=3),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One metric of one case in both runs, in the metric's base unit.

    Attributes:
        ratio: new over old.
        relative: the same of their ratios to the baseline, in which the speed of the machine cancels; None where
            there are none.
        verdict: CHANGED (exact) WORSE, BETTER or ALIKE.
        called: what a report calls the case: the operator, and where there are several conditions that too.
    """

    operator: str
    condition: str
    info: MetricInfo
    old: float
    new: float
    verdict: str
    relative: float | None = None
    called: str = ""

    @property
    def ratio(self) -> float | None:
        """New over old; None over nothing."""
        return self.new / self.old if self.old else None


@dataclass(frozen=True, slots=True)
class Stored:
    """All that two runs share, and what one alone has."""

    pairs: tuple[Pair, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    lost: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def changes(self) -> tuple[Pair, ...]:
        """Exact figures that differ."""
        return tuple(one for one in self.pairs if one.info.exact and one.verdict != ALIKE)


def compare(old: Run, new: Run, threshold: float = 0.05) -> Stored:
    """Holds the new run against the old one; a smaller change of a timing than the threshold is none.

    Raises:
        PlanError: they are not comparable, with the keys that differ; or they share no case.
    """
    if other := differing(old, new):
        raise PlanError(
            f"these runs are not comparable: {'; '.join(other)} (measure both in the same way, on one device)"
        )
    before, after = ({one.case.key: one for one in run.measurements} for run in (old, new))
    shared = [key for key in before if key in after]
    if not shared:
        raise PlanError("these runs share no case: no operator was measured at the same shape, dtype and mode in both")
    lost = tuple(
        (key, after[key].reason) for key in shared if before[key].status == MEASURED and after[key].status != MEASURED
    )
    pairs = [pair for key in shared for pair in _pairs(old, new, key, threshold)]
    several = len({one.condition for one in pairs}) > 1
    pairs = [replace(one, called=f"{one.operator} {one.condition}" if several else one.operator) for one in pairs]
    added, removed = ([key for key in one if key not in other] for one, other in ((after, before), (before, after)))
    where = new.environment
    device = ("Device", f"{where.device_name}, torch {where.versions.get('torch', '?')}")
    runs = [(name, run.started) for name, run in (("Old run", old), ("New run", new)) if run.started]
    return Stored(tuple(pairs), tuple(added), tuple(removed), lost, (device, *runs))


def differing(old: Run, new: Run) -> list[str]:
    """What makes two runs different measurements, each as 'key: old, new'."""
    pairs = [
        ("device", old.environment.device_name, new.environment.device_name),
        ("torch", old.environment.versions.get("torch"), new.environment.versions.get("torch")),
        *((name, getattr(old.settings, name), getattr(new.settings, name)) for name in SETTINGS),
        *_methods(old, new),
    ]
    return [f"{name}: {before}, {after}" for name, before, after in pairs if before != after]


def _methods(old: Run, new: Run) -> Iterator[tuple[str, str, str]]:
    """How each metric of both was measured, where that differs."""
    before, after = ({reading.metric: reading.method for _, reading in run.readings()} for run in (old, new))
    for metric, method in before.items():
        if metric in after and after[metric] != method:
            yield f"method of {metric}", method, after[metric]


def _pairs(old: Run, new: Run, key: str, threshold: float) -> Iterator[Pair]:
    before = next(one for one in old.measurements if one.case.key == key)
    after = next(one for one in new.measurements if one.case.key == key)
    for reading in before.readings:
        info, other = new.metric(reading.metric), after.reading(reading.metric)
        if info is None or other is None or not reading.samples or not other.samples or info.bounds:
            continue
        first, second = reading.estimate, other.estimate
        if info.exact:
            verdict = ALIKE if first.value == second.value else CHANGED
            yield Pair(before.case.upsampler, before.case.group, info, first.value, second.value, verdict)
        elif info.relative:
            ratios = old.ratio(before.case, reading.metric), new.ratio(after.case, reading.metric)
            relative = ratios[1].value / ratios[0].value if ratios[0] and ratios[1] else None
            apart = second.low > first.high or second.high < first.low
            verdict = (
                _advice(second.value / first.value, relative, threshold) if apart and info.lower_is_better else ALIKE
            )
            yield Pair(before.case.upsampler, before.case.group, info, first.value, second.value, verdict, relative)


def _advice(ratio: float, relative: float | None, threshold: float) -> str:
    """A change is one where it shows beyond the threshold, also in the ratios to the baseline where there are any."""
    found = [ratio, *([relative] if relative else [])]
    if all(one >= 1 + threshold for one in found):
        return WORSE
    return BETTER if all(one <= 1 / (1 + threshold) for one in found) else ALIKE


def code(found: Stored, fail_on: str) -> int:
    """The exit code: timings of stored runs fail nothing."""
    if fail_on == NEVER:
        return FINE
    worse = [one for one in found.changes if (one.new > one.old) == one.info.lower_is_better]
    if worse or found.lost:
        return REGRESSION
    unclear = any(one.verdict == WORSE for one in found.pairs)
    return INCONCLUSIVE if fail_on == INCONCLUSIVES and unclear else FINE


def report(found: Stored, old: str, new: str) -> Report:
    """What was found as a report."""
    timed = [one for one in found.pairs if not one.info.exact]
    tables = [
        Table("Exact figures that changed", EXACT, tuple(_exact(one) for one in found.changes)),
        Table(
            "Timings, as advice: compare --base measures both sides together",
            TIMED,
            tuple(_timed(one) for one in timed),
        ),
    ]
    exact = [one for one in found.pairs if one.info.exact]
    facts = [*found.facts, ("Exact figures", f"{len(found.changes)} of {len(exact)} changed")]
    facts += [(word, ", ".join(keys)) for word, keys in (("Added", found.added), ("Removed", found.removed)) if keys]
    facts += [("Not measured any more", f"{key}: {why}") for key, why in found.lost]
    legend = (
        (
            "worse, better",
            "beyond the threshold, both as it is and with the baseline's own change cancelled; advice alone",
        ),
        (
            "baseline cancelled",
            "the change of the ratio to the baseline of each run, in which the machine's speed cancels",
        ),
    )
    return Report(
        f"{new} against {old}", tuple(facts), tuple(one for one in tables if one.rows), legend=legend if timed else ()
    )


def _exact(one: Pair) -> Row:
    ratio = one.ratio
    share = Cell("new") if ratio is None else Cell(f"{(ratio - 1) * 100:+.3g}", (ratio - 1) * 100)
    cells = (Cell(one.info.title), Cell(f"{one.old:,.0f}", one.old), Cell(f"{one.new:,.0f}", one.new), share)
    return Row(one.called, cells)


def _timed(one: Pair) -> Row:
    ratio = Cell(units.fixed(one.ratio, 3), one.ratio) if one.ratio else Cell()
    relative = Cell(units.fixed(one.relative, 3), one.relative) if one.relative else Cell()
    return Row(one.called, (Cell(one.info.title), ratio, Cell(one.verdict), relative))
