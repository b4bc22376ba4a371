"""One table for each condition: a row per operator and backend, a column per metric and, next to it, its ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace

from upsampler_bench import units
from upsampler_bench.case import INFERENCE, TIMED, TORCH, TRAIN
from upsampler_bench.report import footnotes
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.parts import Cell, Column, Row, Table
from upsampler_bench.results import THROTTLED, MetricInfo, Reading, Run
from upsampler_bench.stats import Estimate, quantile

# What a narrow table keeps first; all other metrics follow in the run's own order.
FIRST = ("latency", "inference_memory", "flops_paper", "params_weights", "train_latency", "train_memory")
# By mode, the metric that is the host's part of a call.
LAUNCH = {INFERENCE: "launch", TRAIN: "train_launch"}
PERCENTILES = (50, 95, 99)
CONDITION = ("batch", "channels", "height", "width", "scale", "dtype", "layout", "device", "model", "guide_image")


def table(condition: Condition, marks: Mapping[str, str]) -> Table:
    """The table of one condition; `marks` are the footnotes' marks by text."""
    run, lines = condition.run, condition.lines
    columns = [column for info in condition.metrics for column in _columns(condition, info, marks)]
    rows = tuple(row(condition, line, tuple(cells[place] for _, cells in columns)) for place, line in enumerate(lines))
    how = {"threads": run.environment.machine.get("threads", "")}
    title = "; ".join(filter(None, [condition.words, condition.intervals]))
    return Table(title, tuple(column for column, _ in columns), rows, stated(condition) | how)


def stated(condition: Condition) -> dict[str, str | int]:
    """A condition's parts by name, as the columns of a CSV state them."""
    case = asdict(condition.case)
    return {name: case[name] for name in CONDITION} | {"device_name": condition.device}


def row(condition: Condition, line: Line, cells: tuple[Cell, ...]) -> Row:
    """The row of an operator."""
    is_baseline = line == condition.baseline and not condition.is_probed
    return Row(line.name, cells, line.status, line.reason, is_baseline, line.operator, line.backend)


def rank(run: Run, name: str) -> int:
    """A metric's place in the order of importance."""
    order = [*FIRST, *(info.name for info in run.metrics if info.name not in FIRST)]
    return 2 * order.index(name)


def _columns(condition: Condition, info: MetricInfo, marks: Mapping[str, str]) -> Iterator[tuple[Column, list[Cell]]]:
    """A metric's columns, each with its cells from the first line to the last."""
    run, lines = condition.run, condition.lines
    unit, place, bounded = units.unit(info.unit).name, rank(run, info.name), run.metric(info.bounds)
    values = [_value(line, info, marks) for line in lines]
    yield Column(info.name, info.title, unit, place, detail=bounded is not None), values
    if bounded:
        title = f"× {info.title.removesuffix(' time').lower()}"
        times = Column(f"{bounded.name}_over_{info.name}", title, units.RATIO.name, place + 1)
        yield times, [_times_bound(line, info, bounded, marks) for line in lines]
        return
    if info.relative:
        yield from _relative(run, lines, info, place + 1, marks)
    if info.name == TIMED.get(info.mode):
        yield _throughput(condition, info, place)
    if info.name == LAUNCH.get(info.mode):
        yield from _bound_by(condition, info, place + 1)
    if not info.is_single:
        for percent in PERCENTILES:
            title = f"{info.title}, {percent}th percentile"
            column = Column(f"{info.name}_p{percent}", title, unit, place, detail=True)
            yield column, [_percentile(line, info, percent / 100) for line in lines]
        count = Column(f"{info.name}_samples", f"{info.title}, samples", "", place, detail=True)
        yield count, [_count(line, info, lambda reading: len(reading.samples)) for line in lines]
        count = Column(f"{info.name}_processes", f"{info.title}, processes", "", place, detail=True)
        yield count, [_count(line, info, lambda reading: len(reading.by_process)) for line in lines]


def _relative(
    run: Run, lines: tuple[Line, ...], info: MetricInfo, place: int, marks: Mapping[str, str]
) -> Iterator[tuple[Column, list[Cell]]]:
    """The ratio to the baseline and the speed-up over backend torch, where any line has one."""
    ratios = [ratio_to_baseline(run, line, info) for line in lines]
    if any(ratios):
        cells = [_ratio(run, line, ratio, info, marks) for line, ratio in zip(lines, ratios, strict=True)]
        title = f"{info.title} / {run.settings.baseline}"
        yield Column(f"{info.name}_ratio", title, units.RATIO.name, place), cells
    speedups = [None if line.backend == TORCH else speedup(run, line, info) for line in lines]
    if any(speedups):
        title = f"{info.title}: speed-up over torch"
        cells = [_with_interval(one) if one else Cell() for one in speedups]
        yield Column(f"{info.name}_speedup", title, units.RATIO.name, place), cells


def shows_throughput(condition: Condition) -> bool:
    """Whether tables for people have it: at batch 1 of a bare operator it is only another form of the time."""
    return condition.case.mode in TIMED and (condition.case.batch > 1 or bool(condition.case.model))


def _throughput(condition: Condition, info: MetricInfo, place: int) -> tuple[Column, list[Cell]]:
    """Images per second of calls that follow each other without waiting for the host."""
    title = "Throughput" if info.mode == INFERENCE else "Training throughput"
    name = info.name.replace("latency", "throughput")
    column = Column(name, title, "images/s", place, detail=not shows_throughput(condition))
    return column, [_images_per_second(line, info, condition.case.batch) for line in condition.lines]


def _images_per_second(line: Line, info: MetricInfo, batch: int) -> Cell:
    reading = line.reading(info)
    if reading is None or not reading.estimate.low > 0:
        return _missing(line, info)
    time = reading.estimate
    rate = replace(time, value=batch / time.value, low=batch / time.high, high=batch / time.low)
    return _number(rate, False, ())


def _bound_by(condition: Condition, launch: MetricInfo, place: int) -> Iterator[tuple[Column, list[Cell]]]:
    """What bounds calls that follow each other: the host, if submitting one takes it longer than the device needs."""
    time = condition.run.metric(TIMED[launch.mode])
    if time is None:
        return
    title = "Bound by" if launch.mode == INFERENCE else "Training bound by"
    cells = [_bound_of(line, launch, time) for line in condition.lines]
    yield Column(f"{time.name}_bound_by", title, rank=place, words=True), cells


def _bound_of(line: Line, launch: MetricInfo, time: MetricInfo) -> Cell:
    submitting, needed = line.reading(launch), line.reading(time)
    if submitting is None or needed is None:
        return _missing(line, launch)
    return Cell("host" if submitting.estimate.value > needed.estimate.value else "device")


def _value(line: Line, info: MetricInfo, marks: Mapping[str, str]) -> Cell:
    reading = line.reading(info)
    if reading is None:
        return replace(_missing(line, info), marks=footnotes.marks_of(line, info, marks))
    value = units.convert(reading.estimate, units.unit(info.unit))
    return _number(value, info.is_single, footnotes.marks_of(line, info, marks))


def _number(value: Estimate, is_exact: bool, marks: tuple[str, ...]) -> Cell:
    """A number whose digits say how exact it is, so that its interval is not printed."""
    if is_exact or (value.low == value.high and value.is_bounded):
        return Cell(units.exact(value.value), value.value, marks=marks)
    return replace(_with_interval(value), interval="", marks=marks)


def _with_interval(value: Estimate) -> Cell:
    if not value.is_bounded:
        return Cell(units.rough(value.value), value.value, sampled=(value.low, value.high))
    text, interval = units.noisy(value)
    return Cell(text, value.value, value.low, value.high, interval)


def _ratio(run: Run, line: Line, ratio: Estimate | None, info: MetricInfo, marks: Mapping[str, str]) -> Cell:
    """A ratio; unlike other disturbances, throttling changes it, since it depends on how long a call is."""
    if ratio is None:
        return _missing(line, info)
    case = line.measurements[0].case
    cell = Cell("1", 1.0) if case == run.baseline_of(case) else _with_interval(ratio)
    return replace(cell, marks=footnotes.marks_of(line, info, marks, beginning=THROTTLED))


def ratio_to_baseline(run: Run, line: Line, info: MetricInfo) -> Estimate | None:
    """A metric's ratio to the baseline's on a line, or None."""
    measurement = line.measurement(info)
    return run.ratio(measurement.case, info.name) if measurement else None


def speedup(run: Run, line: Line, info: MetricInfo) -> Estimate | None:
    """How many times as fast as on torch an operator is on the line's backend, paired by round, or None."""
    measurement = line.measurement(info)
    return run.ratio(measurement.case.on(TORCH), info.name, to=measurement.case) if measurement else None


def _times_bound(line: Line, info: MetricInfo, bounded: MetricInfo, marks: Mapping[str, str]) -> Cell:
    """How many times its bound a metric is, with the metric's own interval and the bound's footnotes."""
    bound, reading = line.reading(info), line.reading(bounded)
    if bound is None or reading is None or not bound.estimate.value:
        return _missing(line, bounded)
    times = units.convert(reading.estimate, units.Unit(units.RATIO.name, bound.estimate.value))
    return _number(times, bounded.exact, footnotes.marks_of(line, info, marks))


def _percentile(line: Line, info: MetricInfo, level: float) -> Cell:
    reading = line.reading(info)
    value = quantile(reading.samples, level) if reading else None
    if value is None:
        return _missing(line, info)
    converted = value / units.unit(info.unit).size
    return Cell(units.exact(converted), converted)


def _count(line: Line, info: MetricInfo, of: Callable[[Reading], int]) -> Cell:
    reading = line.reading(info)
    if reading is None:
        return _missing(line, info)
    count = of(reading)
    return Cell(str(count), float(count))


def _missing(line: Line, info: MetricInfo) -> Cell:
    status = line.why_not(info)
    return Cell(status) if status else Cell()
