"""What each backend makes of an operator: grouped bars, the backends within the operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upsampler_bench import units
from upsampler_bench.report.lines import Condition
from upsampler_bench.report.parts import NOTHING
from upsampler_bench.report.pictures import Bar, BarChart, Panel
from upsampler_bench.report.pictures._numbers import estimate, interval, needs_log, subtitle
from upsampler_bench.report.tables import speedup
from upsampler_bench.results import MetricInfo
from upsampler_bench.stats import Estimate

PLACE = 1
TIMES = ("latency", "train_latency")


def pictures(conditions: Sequence[Condition]) -> Iterator[Panel]:
    """A panel for each condition with several backends: the time of each, and its speed-up over torch."""
    for condition in conditions:
        backends = tuple(dict.fromkeys(line.backend for line in condition.lines))
        times = [info for info in condition.metrics if info.name in TIMES]
        charts = [chart for info in times for chart in (_times(condition, info), _speedups(condition, info)) if chart]
        if len(backends) > 1 and charts:
            yield Panel(
                title=f"Operators by backend on {condition.device}",
                subtitle=subtitle(condition),
                baseline=condition.run.settings.baseline,
                charts=tuple(charts),
                caption="Error bars: 95 % interval. Dashed: torch.",
                slug=condition.slug,
                name="backends",
                legend=backends,
            )


def _times(condition: Condition, info: MetricInfo) -> BarChart:
    numbers = [estimate(line, info) for line in condition.lines]
    is_log, unit = needs_log([number.value for number in numbers if number]), units.unit(info.unit).name
    bars = _bars(condition, info, numbers)
    return BarChart(info.name, info.title, f"{unit}, log scale" if is_log else unit, bars, log=is_log)


def _speedups(condition: Condition, info: MetricInfo) -> BarChart | None:
    """Where the condition was measured on torch too: how many times faster each other backend is."""
    ratios = [speedup(condition.run, line, info) for line in condition.lines]
    if not any(ratios):
        return None
    is_log = needs_log([ratio.value for ratio in ratios if ratio])
    axis = "×, log scale" if is_log else "×"
    title = f"{info.title}: speed-up over torch"
    return BarChart(f"{info.name}_speedup", title, axis, _bars(condition, info, ratios, "×"), 1.0, log=is_log)


def _bars(
    condition: Condition, info: MetricInfo, numbers: Sequence[Estimate | None], unit: str = ""
) -> tuple[Bar, ...]:
    bars = []
    for line, number in zip(condition.lines, numbers, strict=True):
        if number is None:
            bars.append(Bar(line.name, None, line.why_not(info) or NOTHING, backend=line.backend))
        else:
            text = f"{units.short(number.value)}{unit}"
            bars.append(Bar(line.name, number.value, text, interval(number), backend=line.backend))
    return tuple(bars)
