"""The figures as plain data: a panel of bar charts (as the paper's Fig. 8) and a scatter (as its Fig. 1)."""

from __future__ import annotations

from upsampler_bench import units
from upsampler_bench.paper import published
from upsampler_bench.report.conditions import FLOPS, estimate, squashed
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.parts import NOTHING
from upsampler_bench.report.pictures import Bar, BarChart, Panel, Point, Scatter
from upsampler_bench.report.tables import present, rank
from upsampler_bench.results import MetricInfo, Run
from upsampler_bench.stats import Estimate

CHARTS = 6
# Reading order of the panel, as in Fig. 8; a metric that is not named comes last.
ORDER = ("latency", "inference_memory", "train_memory", "train_latency", "flops_paper", "params_weights")
SPEED = "latency"


def panel(run: Run, condition: Condition, slug: str) -> Panel | None:
    """Bar charts of the (at most six) most important metrics, or None where nothing was measured."""
    costs = [info for info in present(run, condition) if not info.bounds]
    chosen = sorted(costs, key=lambda info: rank(run, info.name))[:CHARTS]
    chosen.sort(key=lambda info: ORDER.index(info.name) if info.name in ORDER else len(ORDER))
    charts = tuple(chart(run, condition, info) for info in chosen)
    if not charts:
        return None
    title, base = f"Upsamplers on {run.environment.device_name}", run.settings.baseline
    said = [f"Dashed: {base}."] if any(one.baseline for one in charts) else []
    said += ["Whiskers: 95 % interval of the median."] if any(bar.low for one in charts for bar in one.bars) else []
    return Panel(title, condition.words, base, charts, " ".join(said), slug)


def scatter(run: Run, condition: Condition, slug: str) -> Scatter | None:
    """Latency against the published mIoU, or None where fewer than two operators have both."""
    speed = run.metric(SPEED)
    cost = next((info for name in FLOPS for info in present(run, condition) if info.name == name), None)
    if speed is None:
        return None
    base = estimate(condition.line(run.settings.baseline), cost) if cost else None
    over = cost and base and (condition.case.model or _adds(condition, cost, base))
    offset = base.value if base and over else 0.0
    points = [one for line in condition.lines if (one := _point(line, speed, cost, offset))]
    if len(points) < 2:
        return None
    unit, log = units.unit(speed.unit).name, squashed([one.x for one in points])
    return Scatter(
        title=f"Speed on {run.environment.device_name} and published quality",
        subtitle=condition.words,
        x_axis=f"{speed.title} ({unit}{', log scale' if log else ''}), measured",
        y_axis="mIoU (%), published",
        size_title=f"{units.unit(cost.unit).name}" if cost else "",
        points=tuple(points),
        caption=" ".join([*_areas(run, cost, offset), *_left_out(condition, points)]),
        log=log,
        slug=slug,
    )


def chart(run: Run, condition: Condition, info: MetricInfo) -> BarChart:
    """The bar chart of one metric: as additions over the baseline where the paper writes it so and all do add."""
    base = estimate(condition.line(run.settings.baseline), info)
    offset = base.value if base and _adds(condition, info, base) else None
    bars = tuple(_bar(line, info, offset, line.name == run.settings.baseline) for line in condition.lines)
    log = squashed([bar.value for bar in bars if bar.value is not None])
    dashed = base.value if base and offset is None else None
    return BarChart(info.name, info.title, _axis(run, info, offset, log), bars, dashed, log)


def _adds(condition: Condition, info: MetricInfo, base: Estimate) -> bool:
    """Whether the chart shows additions over the baseline: where every operator does add to it."""
    found = (estimate(line, info) for line in condition.lines)
    return info.additive and all(one.value >= base.value for one in found if one)


def _bar(line: Line, info: MetricInfo, offset: float | None, baseline: bool) -> Bar:
    one = estimate(line, info)
    if one is None:
        return Bar(line.name, None, line.why_not(info) or NOTHING)
    if offset is not None:
        added = one.value - offset
        return Bar(line.name, added, units.short(one.value) if baseline else f"+{units.short(added)}")
    if info.exact or not one.is_bounded or one.low == one.high:
        return Bar(line.name, one.value, units.short(one.value))
    return Bar(line.name, one.value, units.short(one.value), one.low, one.high)


def _axis(run: Run, info: MetricInfo, offset: float | None, log: bool) -> str:
    over = f"added to {run.settings.baseline}" if offset is not None else ""
    parts = [" ".join(one for one in (units.unit(info.unit).name, over) if one), "log scale" if log else ""]
    return ", ".join(one for one in parts if one)


def _point(line: Line, speed: MetricInfo, cost: MetricInfo | None, offset: float) -> Point | None:
    quality, ours = published.segformer_b1_ade20k().get(line.name), estimate(line, speed)
    size = estimate(line, cost) if cost else None
    if quality is None or ours is None:
        return None
    return Point(line.name, ours.value, quality.miou, size.value - offset if size else 0.0, ours.low, ours.high)


def _areas(run: Run, cost: MetricInfo | None, offset: float) -> list[str]:
    """What the axes and areas stand for."""
    over = f" added to {run.settings.baseline}" if offset else ""
    areas = [f"Area: {cost.title}{over}, but never too small to be seen."] if cost else []
    return ["mIoU as published: SegFormer-B1 on ADE20K.", *areas]


def _left_out(condition: Condition, points: list[Point]) -> list[str]:
    drawn, known = {one.name for one in points}, published.segformer_b1_ade20k()
    left = [line.name for line in condition.lines if line.name not in drawn]
    reasons = {"No published mIoU": [one for one in left if one not in known]}
    reasons["Not measured"] = [one for one in left if one in known]
    return [f"{reason}: {', '.join(names)}." for reason, names in reasons.items() if names]
