"""The panel of bar charts, as the paper's Fig. 8; in a model, what each operator adds to the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from upsampler_bench import units
from upsampler_bench.case import Case
from upsampler_bench.paper.ours import mious
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.parts import NOTHING
from upsampler_bench.report.pictures import Bar, BarChart, Panel
from upsampler_bench.report.pictures._numbers import FLOPS, PARAMS, estimate, given_mious, interval, needs_log, subtitle
from upsampler_bench.report.tables import rank
from upsampler_bench.results import ERROR, MetricInfo, Run
from upsampler_bench.stats import Estimate

PLACE = 0
CHARTS = 6
# Reading order, as in Fig. 8; a metric that is not named comes last.
ORDER = ("latency", "inference_memory", "train_memory", "train_latency", "flops_paper", "params_weights")
# The model of Table 4 and Fig. 8, and the bare feature whose upsampling Fig. 8 times.
MODEL, ALONE = "segformer-b1", {"batch": 1, "channels": 256, "height": 120, "width": 120, "scale": 2, "model": ""}
LATENCY = ("latency",)
COSTS = (("train_memory",), ("train_latency",), FLOPS, PARAMS)
MINUS = "−"


def pictures(conditions: Sequence[Condition]) -> Iterator[Panel]:
    """One panel for each condition; of several, those in which nothing was timed have only a table."""
    for condition in conditions:
        if len(conditions) > 1 and not any(info.relative for info in condition.metrics):
            continue
        panel = _in_model(condition, conditions) if condition.case.model else None
        panel = panel or _measured(condition)
        if panel:
            yield panel


def _measured(condition: Condition) -> Panel | None:
    """The (at most six) most important metrics, or None where nothing was measured."""
    run = condition.run
    costs = [info for info in condition.metrics if not info.bounds and info.unit != ERROR]
    costs = sorted(costs, key=lambda info: rank(run, info.name))[:CHARTS]
    costs.sort(key=lambda info: ORDER.index(info.name) if info.name in ORDER else len(ORDER))
    charts = tuple(_chart(condition, info) for info in costs)
    if not charts:
        return None
    caption = []
    if any(chart.baseline for chart in charts):
        caption.append(f"Dashed: {_baseline(condition)}.")
    if _has_intervals(charts):
        caption.append("Error bars: 95 % interval.")
    title = f"Upsamplers on {condition.device}"
    return Panel(title, subtitle(condition), _baseline(condition), charts, " ".join(caption), condition.slug)


def _baseline(condition: Condition) -> str:
    """What the baseline's row is called."""
    return condition.baseline.name if condition.baseline else condition.run.settings.baseline


def _chart(condition: Condition, info: MetricInfo) -> BarChart:
    """One metric; as additions to the baseline where the paper gives it so and every operator adds to it."""
    baseline, unit = _baseline(condition), units.unit(info.unit).name
    base = estimate(condition.baseline, info)
    numbers = {line.name: estimate(line, info) for line in condition.lines}
    adds = (
        base is not None and info.additive and all(number.value >= base.value for number in numbers.values() if number)
    )
    bars = []
    for line in condition.lines:
        number = numbers[line.name]
        if number is None:
            bars.append(Bar(line.name, None, line.why_not(info) or NOTHING))
        elif adds and base:
            added = number.value - base.value
            text = units.short(number.value) if line.name == baseline else f"+{units.short(added)}"
            bars.append(Bar(line.name, added, text))
        else:
            ends = None if info.exact else interval(number)
            bars.append(Bar(line.name, number.value, units.short(number.value), ends))
    axis = f"{unit} added to {baseline}".strip() if adds else unit
    dashed = base.value if base and not adds else None
    return _scaled(BarChart(info.name, info.title, axis, tuple(bars), dashed))


def _scaled(chart: BarChart) -> BarChart:
    """The chart with a logarithmic axis, where its values need one."""
    if not needs_log([bar.value for bar in chart.bars if bar.value is not None]):
        return chart
    return replace(chart, log=True, axis=f"{chart.axis}, log scale" if chart.axis else "log scale")


def _has_intervals(charts: Sequence[BarChart]) -> bool:
    return any(bar.interval for chart in charts for bar in chart.bars)


def _in_model(condition: Condition, conditions: Sequence[Condition]) -> Panel | None:
    """Additions to the baseline, or None where the baseline was not measured."""
    base, is_papers = condition.baseline, condition.case.model == MODEL
    if base is None:
        return None
    alone = _alone(condition, conditions) if is_papers else None
    charts = [alone] if alone else []
    costs: tuple[tuple[str, ...], ...]
    if is_papers:
        costs = COSTS if alone else (LATENCY, *COSTS)
    else:
        costs = (LATENCY, ("inference_memory",), *COSTS)
    for names in costs:
        info = condition.first(names)
        if info and base.reading(info):
            charts.append(_additions(condition, base, info))
    if is_papers and any(line.operator in mious([condition.run]) for line in condition.lines):
        charts.append(_quality(condition))
    if not charts:
        return None
    title = f"Upsamplers in {condition.case.model} on {condition.device}"
    caption = " ".join([*_caption(charts, base.name), *given_mious(condition)])
    return Panel(title, subtitle(condition), base.name, tuple(charts), caption, condition.slug)


def _additions(condition: Condition, base: Line, info: MetricInfo) -> BarChart:
    bars = []
    for line in condition.lines:
        number, added = estimate(line, info), _added(condition.run, line, base, info)
        if number is None or added is None:
            bars.append(Bar(line.name, None, line.why_not(info) or NOTHING))
        elif line.name == base.name:
            bars.append(Bar(line.name, 0.0, units.short(number.value)))
        else:
            bars.append(Bar(line.name, added.value, signed(added.value), interval(added)))
    axis = f"{units.unit(info.unit).name} added to {base.name}".strip()
    return _scaled(BarChart(info.name, f"+ {info.title}", axis, tuple(bars)))


def _added(run: Run, line: Line, base: Line, info: MetricInfo) -> Estimate | None:
    """What an operator adds to the baseline, in the metric's unit for people: of a timed metric by their ratio."""
    ours, theirs = line.find(info), base.find(info)
    if ours is None or theirs is None:
        return None
    (measurement, reading), (reference, total) = ours, theirs
    whole = total.estimate.value
    ratio = None if info.is_single else run.ratio(measurement.case, info.name, reference.case)
    if ratio is None:
        difference = reading.estimate.value - whole
        added = Estimate(difference, difference, difference, 0)
    else:
        low, value, high = (whole * (times - 1) for times in (ratio.low, ratio.value, ratio.high))
        added = replace(ratio, value=value, low=low, high=high)
    return units.convert(added, units.unit(info.unit))


def signed(value: float) -> str:
    """An addition as it is printed: +1.43, −0.20, +0."""
    text = units.short(abs(value))
    return f"{MINUS if value < 0 and text != '0' else '+'}{text}"


def _alone(condition: Condition, conditions: Sequence[Condition]) -> BarChart | None:
    """The latency of the operators alone, which the paper's figure shows, where these runs contain it."""
    case = _alike(condition, replace(condition.case, **ALONE))  # type: ignore[arg-type]
    same = [one for one in conditions if _alike(one, one.case) == case and one.first(LATENCY)]
    # Of several runs the one with the most operators of this panel.
    names = {line.name for line in condition.lines}
    same.sort(key=lambda one: -len(names & {line.name for line in one.lines}))
    info = same[0].first(LATENCY) if same else None
    if info is None:
        return None
    chart = _chart(same[0], info)
    bars = {bar.name: bar for bar in chart.bars}
    kept = tuple(bars.get(line.name, Bar(line.name, None, "not measured")) for line in condition.lines)
    return replace(chart, title=f"{info.title} of the operator alone", bars=kept)


def _alike(condition: Condition, case: Case) -> tuple[object, ...]:
    return condition.device, condition.how, replace(case, upsampler="", mode="", backend="")


def _quality(condition: Condition) -> BarChart:
    bars, known = [], mious([condition.run])
    for line in condition.lines:
        miou = known.get(line.operator)
        bars.append(Bar(line.name, miou, "not published" if miou is None else f"{miou:.2f}"))
    base = known.get(condition.run.settings.baseline)
    title = "mIoU" if given_mious(condition) else "Published mIoU"
    return BarChart("miou", title, "%", tuple(bars), base, dots=True)


def _caption(charts: Sequence[BarChart], baseline: str) -> Iterator[str]:
    yield f"+: added to {baseline}, whose own total is printed; {MINUS}: less than {baseline}."
    if any(chart.baseline for chart in charts):
        yield f"Dashed: {baseline}."
    if any("alone" in chart.title for chart in charts):
        yield "Latency of the operator alone: ×2 of a 256×120×120 feature, as in Fig. 8 of the DySample paper."
    if _has_intervals(charts):
        yield "Error bars: 95 % interval; of an addition, that of the ratio to the baseline."
    if any(chart.name == "miou" for chart in charts):
        yield "mIoU: as published in Table 4 (SegFormer-B1 on ADE20K), not measured here; its axis does not start at 0."
