"""A panel of horizontal bar charts; the operators' names stand at the first chart of each row."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from upsampler_bench.figures.frame import FAINT, GRID, INK, SMALL, TEXT, framed, plain
from upsampler_bench.figures.palette import Colours, legend_colour
from upsampler_bench.report.pictures import Bar, BarChart, Panel
from upsampler_bench.text import shortened
from upsampler_bench.units import tick

# Inches: the width of a panel by its number of columns, the height of a bar, and of what is around the bars.
WIDTHS = {1: 3.5, 2: 5.25, 3: 7.0}
BAR, AROUND = 0.15, 0.62
# The height of a row of the legend in inches, and how many names it has.
LEGEND, NAMES = 0.16, 5
# Of a name that leaves room for the charts, in letters.
LONGEST = 28
# Behind a number, so that no line runs through it.
BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


def draw(panel: Panel, colours: Colours) -> Figure:
    """All charts of the panel, three next to each other (two where there are two or four)."""
    count = len(panel.charts)
    columns = min(count, 2) if count in (1, 2, 4) else 3
    rows = math.ceil(count / columns)
    height, legend = (
        rows * (BAR * (panel.charts[0].places[-1] + 1) + AROUND),
        LEGEND * math.ceil(len(panel.legend) / NAMES),
    )
    figure = framed(panel, WIDTHS[columns], height, legend)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for place, (axes, chart) in enumerate(zip(grid, panel.charts, strict=False)):
        _chart(axes, chart, colours)
        _names(axes, panel, place % columns == 0)
    for axes in grid[count:]:
        axes.set_visible(False)
    if panel.legend:
        layout = figure.get_layout_engine()
        assert isinstance(layout, ConstrainedLayoutEngine)
        _, bottom, _, share = layout.get()["rect"]
        patches = [Patch(color=legend_colour(name), label=name) for name in panel.legend]
        above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, bottom + share), "borderaxespad": 0.0}
        figure.legend(handles=patches, ncols=NAMES, fontsize=SMALL, frameon=False, **above)
    return figure


def _chart(axes: Axes, chart: BarChart, colours: Colours) -> None:
    plain(axes)
    left, right = chart.range
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_title(chart.title, size=TEXT, weight="bold", color=INK, loc="left", pad=4)
    axes.set_xlabel(chart.axis, size=SMALL, color=INK, labelpad=1)
    if chart.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    linear = FixedLocator(chart.ticks) if chart.ticks else MaxNLocator(4)
    axes.xaxis.set_major_locator(LogLocator(numticks=5) if chart.log else linear)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value).replace("-", "−")))
    axes.set(xlim=(left, right), ylim=(chart.places[-1] + 0.6, -0.6))
    for place, bar in zip(chart.places, chart.bars, strict=True):
        own = legend_colour(bar.backend) if bar.backend else colours[bar.name]
        _bar(axes, bar, own, place, max(left, 0.0), chart.dots)
    if left < 0:
        axes.axvline(0, color=FAINT, linewidth=0.6)
    if chart.baseline and left < chart.baseline < right:
        axes.axvline(chart.baseline, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))


def _bar(axes: Axes, bar: Bar, own: str, place: float, start: float, dots: bool) -> None:
    value = bar.value or 0.0
    if dots and value:
        axes.plot([value], [place], "o", color=own, markersize=4.5)
    elif bar.segments:
        for name, length in bar.segments:
            axes.barh(place, length, left=start, height=0.72, color=legend_colour(name), linewidth=0)
            start += length
    elif value:
        axes.barh(place, value - start, left=start, height=0.72, color=own, linewidth=0)
    low, high = bar.interval or (value, value)
    if bar.interval:
        axes.errorbar(
            [value], [place], xerr=[[value - low], [high - value]], color=INK, elinewidth=0.7, capsize=1.5, capthick=0.7
        )
    style: dict[str, Any] = {"color": INK} if bar.value is not None else {"color": FAINT, "style": "italic"}
    style |= {"va": "center", "size": SMALL, "bbox": BLANK}
    end = max(value, high, start)
    axes.annotate(bar.text, (end, place), (5 if dots else 3, 0), textcoords="offset points", **style)


def _names(axes: Axes, panel: Panel, is_first: bool) -> None:
    axes.tick_params(axis="y", length=0)
    if not is_first:
        axes.set_yticks([])
        return
    chart = panel.charts[0]
    axes.set_yticks(chart.places, [shortened(label, LONGEST) for label in chart.labels])
    for text, label in zip(chart.labels, axes.get_yticklabels(), strict=True):
        label.set(size=TEXT, weight="bold" if text == panel.baseline else "normal")
