"""What operators are worth, as tables: their signatures, and what networks trained with them score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from upsampler_bench import units
from upsampler_bench.case import QUALITY, SIGNATURE
from upsampler_bench.quality.statistics import paired_difference
from upsampler_bench.quality.tasks import SCORES, TITLES, Score, by_seed
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.parts import Cell, Column, Row, Table
from upsampler_bench.report.tables import row, stated
from upsampler_bench.results import FAILED, MEASURED, MetricInfo, Run

MINUS = "−"
# A number of a signature that is smaller is rounding; in its unit for people, one that is smaller is about zero.
ZERO, NEGLIGIBLE = 1e-6, 5e-4


@dataclass(frozen=True, slots=True)
class Ranked:
    """An operator's place in a task: its scores by seed.

    Attributes:
        scores: by name of the score, by seed.
        failures: the reasons of its failed trainings.
    """

    line: Line
    scores: dict[str, dict[int, float]]
    failures: tuple[str, ...]

    def mean(self, score: Score) -> float | None:
        """Over the seeds; None if every training failed."""
        values = self.scores[score.name].values()
        return fmean(values) if values else None


def ranked(condition: Condition, task: str) -> list[Ranked]:
    """The operators that were trained for a task, best first; those of which a training failed last."""
    found = []
    for line in condition.lines:
        trainings = [one for one in line.measurements[0].trainings if one.task == task]
        failures = tuple(dict.fromkeys(f"seed {one.seed}: {one.failure}" for one in trainings if one.failure))
        if trainings:
            found.append(Ranked(line, {one.name: by_seed(trainings, task, one.name) for one in SCORES[task]}, failures))
    first = SCORES[task][0]
    best = -1.0 if not first.lower_is_better else 1.0
    return sorted(found, key=lambda one: (bool(one.failures), best * (one.mean(first) or 0.0)))


def tables(condition: Condition) -> Iterator[Table]:
    """The signatures, then for each task the operators without a guide and those with one."""
    if SIGNATURE in condition.run.settings.tasks and condition.metrics:
        yield _signature(condition)
    guided = {info.name for info in condition.run.upsamplers if info.needs_guide}
    for task in SCORES:
        everyone = ranked(condition, task)
        baseline = next((one for one in everyone if one.line == condition.baseline), None)
        for title, takes_guide in (("without a guide", False), ("with a guide", True)):
            group = [one for one in everyone if (one.line.operator in guided) == takes_guide]
            if group:
                yield _task(condition, task, title, group, baseline)


def facts(run: Run) -> tuple[tuple[str, str], ...]:
    """How the networks were trained."""
    made = [training for measurement in run.measurements for training in measurement.trainings]
    settings, stated = run.settings, []
    for task in dict.fromkeys(training.task for training in made):
        data = dict.fromkeys(one.data for one in made if one.task == task and not one.failure)
        on = f" on {', '.join(data)}" if data else ""
        stated.append((TITLES[task], f"{settings.steps} steps{on}, {_seeds(_all_seeds(run, task))}"))
    return tuple(stated)


def legend(conditions: Sequence[Condition]) -> tuple[tuple[str, str], ...]:
    """What each score is."""
    tasks = {one.task for condition in conditions for line in condition.lines for one in line.measurements[0].trainings}
    scores = [(score.title, score.description) for task in SCORES if task in tasks for score in SCORES[task]]
    if not scores:
        return ()
    baseline = conditions[0].run.settings.baseline
    difference = f"Mean over seeds of the difference to {baseline} of the same seed, with its 95 % t interval."
    return (*scores, (f"{MINUS} {baseline}", difference))


def _signature(condition: Condition) -> Table:
    infos = condition.metrics
    columns = tuple(
        Column(info.name, info.title, units.unit(info.unit).name, place) for place, info in enumerate(infos)
    )
    rows = tuple(row(condition, line, tuple(measure_cell(line, info) for info in infos)) for line in condition.lines)
    weights = condition.run.settings.weights
    title = f"Signature at {condition.words}, {f'weights of {weights}' if weights else 'initial weights'}"
    return Table(title, columns, rows, stated(condition) | {"mode": QUALITY, "task": SIGNATURE})


def measure_cell(line: Line, info: MetricInfo) -> Cell:
    """A number of the signature in its unit for people."""
    reading = line.reading(info)
    if reading is None:
        return Cell()
    value = units.convert(reading.estimate, units.unit(info.unit)).value
    if abs(value) < NEGLIGIBLE:
        return Cell("0" if abs(value) < ZERO else "≈ 0", value)
    return Cell(units.rough(value).replace("-", MINUS), value)


def _task(condition: Condition, task: str, title: str, group: Sequence[Ranked], baseline: Ranked | None) -> Table:
    run = condition.run
    columns: list[Column] = []
    cells: list[list[Cell]] = []
    for score in SCORES[task]:
        unit, place = units.unit(score.unit).name, 2 * len(columns)
        name = f"{task}_{score.name}"
        columns.append(Column(name, score.title, unit, place))
        cells.append([_mean(one, score) for one in group])
        if baseline is not None:
            is_first = score == SCORES[task][0]
            heading = f"{score.title} {MINUS} {run.settings.baseline}"
            columns.append(Column(f"{name}_difference", heading, unit, place + 1, detail=not is_first))
            cells.append([_difference(one, baseline, score) for one in group])
    for name, heading, unit in (("parameters", "Parameters", ""), ("seconds", "Training", "s")):
        columns.append(Column(f"{task}_{name}", heading, unit, 2 * len(columns)))
        cells.append([_of_trainings(one, task, name) for one in group])
    rows = tuple(
        Row(
            one.line.name,
            tuple(column[place] for column in cells),
            FAILED if one.failures else MEASURED,
            "; ".join(one.failures),
            baseline=one is baseline,
            operator=one.line.operator,
            backend=one.line.backend,
        )
        for place, one in enumerate(group)
    )
    how = f"{run.settings.steps} steps, {_seeds(_all_seeds(run, task))}"
    where = {"device_name": condition.device, "mode": QUALITY, "task": task}
    return Table(f"{TITLES[task]}, operators {title}: {how}", tuple(columns), rows, where)


def _mean(one: Ranked, score: Score) -> Cell:
    mean = one.mean(score)
    if mean is None:
        return Cell(FAILED) if one.failures else Cell()
    value = mean / units.unit(score.unit).size
    return Cell(f"{value:.{score.digits}f}", value)


def _difference(one: Ranked, baseline: Ranked, score: Score) -> Cell:
    found = paired_difference(one.scores[score.name], baseline.scores[score.name])
    if one is baseline or found is None:
        return Cell()
    size = units.unit(score.unit).size
    value, text = found.value / size, f"{found.value / size:+.{score.digits}f}".replace("-", MINUS)
    if found.half_width is None:
        return Cell(text, value)
    half = found.half_width / size
    return Cell(f"{text} ± {half:.{score.digits}f}", value, value - half, value + half)


def _of_trainings(one: Ranked, task: str, name: str) -> Cell:
    made = [training for training in one.line.measurements[0].trainings if training.task == task]
    values = [float(getattr(training, name)) for training in made if not training.failure]
    return Cell(units.short(fmean(values)), fmean(values)) if values else Cell()


def _all_seeds(run: Run, task: str) -> list[int]:
    trainings = (one for measurement in run.measurements for one in measurement.trainings)
    return sorted({one.seed for one in trainings if one.task == task})


def _seeds(seeds: Sequence[int]) -> str:
    """E.g. "seed 0", or "seeds 0 to 5"."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    is_range = list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"seeds {seeds[0]} to {seeds[-1]}" if is_range else f"seeds {', '.join(map(str, seeds))}"
