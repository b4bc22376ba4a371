"""One table a condition: a row an operator, a column a metric, and beside a relative one its ratio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from upsampler_bench import units
from upsampler_bench.case import PROBE
from upsampler_bench.report import footnotes
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.parts import Cell, Column, Row, Table
from upsampler_bench.results import MetricInfo, Run
from upsampler_bench.stats import Estimate, quantile

# What a narrow table keeps first; all other metrics follow in the run's own order.
FIRST = ("latency", "inference_memory", "flops_paper", "params_weights", "train_latency", "train_memory")
CONDITION = ("batch", "channels", "height", "width", "scale", "dtype", "layout", "device", "model")


@dataclass(frozen=True, slots=True)
class Maker:
    """A column, and how its cell is made from a line."""

    column: Column
    cell: Callable[[Line], Cell]


def table(run: Run, condition: Condition, marks: Mapping[str, str]) -> Table:
    """The table of one condition; `marks` are the footnotes' marks by text."""
    makers = [maker for info in present(run, condition) for maker in _makers(run, condition, info, marks)]
    rows = tuple(_row(run, line, makers) for line in condition.lines)
    case = asdict(condition.case)
    where = {name: case[name] for name in CONDITION}
    how = {"device_name": run.environment.device_name, "threads": run.environment.machine.get("threads", "")}
    how |= {"compiled": "yes" if run.settings.compile else "no"}
    return Table(condition.words, tuple(one.column for one in makers), rows, where | how)


def present(run: Run, condition: Condition) -> list[MetricInfo]:
    """The metrics that at least one operator has a reading of, be it one that says why a capability was not tried."""
    return [info for info in run.metrics if any(_has(line, info) for line in condition.lines)]


def _has(line: Line, info: MetricInfo) -> bool:
    return bool(line.find(info) or (info.mode == PROBE and line.read(info)))


def rank(run: Run, name: str) -> int:
    """A metric's place in the order of importance."""
    order = [*FIRST, *(one.name for one in run.metrics if one.name not in FIRST)]
    return 2 * order.index(name)


def _row(run: Run, line: Line, makers: list[Maker]) -> Row:
    cells = tuple(maker.cell(line) for maker in makers)
    return Row(line.name, cells, line.status, line.reason, line.name == run.settings.baseline)


def _makers(run: Run, condition: Condition, info: MetricInfo, marks: Mapping[str, str]) -> list[Maker]:
    unit, place, bounded = units.unit(info.unit), rank(run, info.name), run.metric(info.bounds)
    column = Column(info.name, info.title, unit.name, place, detail=bounded is not None)
    makers = [Maker(column, lambda line: _value(run, line, info, marks))]
    if bounded:
        title = f"× {info.title.removesuffix(' time').lower()}"
        above = Column(f"{bounded.name}_over_{info.name}", title, units.RATIO.name, place + 1)
        return [*makers, Maker(above, lambda line: _above(run, line, info, marks))]
    if not info.is_single:
        tail = Column(f"{info.name}_p90", f"{info.title}, 90th percentile", unit.name, place, detail=True)
        count = Column(f"{info.name}_samples", f"{info.title}, samples", "", place, detail=True)
        makers += [Maker(tail, lambda line: _tail(line, info)), Maker(count, lambda line: _count(line, info))]
    ratios = []
    if info.relative and any(_compared(run, line, info) for line in condition.lines):
        title = f"{info.title} / {run.settings.baseline}"
        ratio = Column(f"{info.name}_ratio", title, units.RATIO.name, place + 1)
        ratios.append(Maker(ratio, lambda line: _ratio(run, line, info)))
    if info.relative and any(_faster(run, line, info) for line in condition.lines):
        title = f"{info.title}: speed-up over reference"
        gained = Column(f"{info.name}_speedup", title, units.RATIO.name, place + 1)
        ratios.append(Maker(gained, lambda line: _shown(_faster(run, line, info))))
    return [makers[0], *ratios, *makers[1:]]


def _value(run: Run, line: Line, info: MetricInfo, marks: Mapping[str, str]) -> Cell:
    found = line.find(info)
    if found is None:
        return _missing(line, info)
    said = footnotes.marks_of(footnotes.texts(run, line, info), marks)
    return _cell(units.convert(found[1].estimate, units.unit(info.unit)), info.is_single, said)


def _cell(one: Estimate, is_exact: bool, marks: tuple[str, ...]) -> Cell:
    if is_exact or (one.low == one.high and one.is_bounded):
        return Cell(units.exact(one.value), one.value, marks=marks)
    if not one.is_bounded:
        return Cell(units.rough(one.value), one.value, marks=marks)
    return Cell(units.noisy(one)[0], one.value, one.low, one.high, marks=marks)


def _compared(run: Run, line: Line, info: MetricInfo) -> Estimate | None:
    found = line.find(info)
    return run.ratio(found[0].case, info.name) if found else None


def _ratio(run: Run, line: Line, info: MetricInfo) -> Cell:
    one = _compared(run, line, info)
    if one is None:
        return _missing(line, info)
    return Cell("1", 1.0) if line.name == run.settings.baseline else _shown(one)


def _faster(run: Run, line: Line, info: MetricInfo) -> Estimate | None:
    """How many times as fast as its reference a twin is, paired by round; None of any other, and of what failed."""
    reference = next((one.reference for one in run.upsamplers if one.name == line.name), "")
    found = line.find(info) if reference else None
    ratio = run.ratio(found[0].case, info.name, reference) if found else None
    if ratio is None or not ratio.low > 0:
        return None
    return Estimate(1 / ratio.value, 1 / ratio.high, 1 / ratio.low, ratio.count)


def _shown(one: Estimate | None) -> Cell:
    """A ratio with its interval; nothing where there is none."""
    if one is None:
        return Cell()
    if not one.is_bounded:
        return Cell(units.rough(one.value), one.value)
    text, interval = units.noisy(one)
    return Cell(text, one.value, one.low, one.high, interval)


def _above(run: Run, line: Line, info: MetricInfo, marks: Mapping[str, str]) -> Cell:
    """How many times its least a metric is; the interval is the metric's own, the footnotes are the least's."""
    bounded, least = run.metric(info.bounds), line.find(info)
    found = line.find(bounded) if bounded else None
    if bounded is None or found is None or least is None or not least[1].estimate.value:
        return _missing(line, bounded or info)
    unit = units.Unit(units.RATIO.name, least[1].estimate.value)
    said = footnotes.marks_of(footnotes.texts(run, line, info), marks)
    return _cell(units.convert(found[1].estimate, unit), bounded.exact, said)


def _tail(line: Line, info: MetricInfo) -> Cell:
    found = line.find(info)
    value = quantile(found[1].samples, 0.9) if found else None
    if value is None:
        return _missing(line, info)
    shown = value / units.unit(info.unit).size
    return Cell(units.exact(shown), shown)


def _count(line: Line, info: MetricInfo) -> Cell:
    found = line.find(info)
    if found is None:
        return _missing(line, info)
    count = len(found[1].samples)
    return Cell(f"{count}", float(count))


def _missing(line: Line, info: MetricInfo) -> Cell:
    why = line.why_not(info)
    return Cell(why) if why else Cell()
