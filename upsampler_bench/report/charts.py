"""The panel of bar charts, as the paper's Fig. 8, as plain data."""

from __future__ import annotations

from upsampler_bench import units
from upsampler_bench.report.conditions import estimate, squashed
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.parts import NOTHING
from upsampler_bench.report.pictures import Bar, BarChart, Panel
from upsampler_bench.report.tables import present, rank
from upsampler_bench.results import MetricInfo, Run
from upsampler_bench.stats import Estimate

CHARTS = 6
# Reading order of the panel, as in Fig. 8; a metric that is not named comes last.
ORDER = ("latency", "inference_memory", "train_memory", "train_latency", "flops_paper", "params_weights")


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
