"""The panel: small horizontal bar charts, the operators' names once a row of charts."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from upsampler_bench.figures.frame import FAINT, GRID, INK, SMALL, TEXT, Frame, framed, plain
from upsampler_bench.figures.palette import colour
from upsampler_bench.report.added import MINUS
from upsampler_bench.report.pictures import Bar, BarChart, Panel
from upsampler_bench.units import tick

WIDTHS = {1: 3.5, 2: 5.25, 3: 7.0}
BAR, AROUND = 0.15, 0.62
LONGEST = 28
# The part of the axis that the longest bar takes; its number stands in the rest.
FILLED = 0.74
# Room before the first dot, or before the bar of the least number below 0.
APART = 0.08
# Behind a number, so that no line runs through it.
BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


def draw(panel: Panel) -> Figure:
    """All charts of the panel, three beside each other (two where there are two or four)."""
    count = len(panel.charts)
    columns = min(count, 2) if count in (1, 2, 4) else 3
    rows = math.ceil(count / columns)
    height = rows * (BAR * len(panel.charts[0].bars) + AROUND)
    figure = framed(Frame(WIDTHS[columns], height, panel.title, panel.subtitle, panel.caption))
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place < count:
            _chart(axes, panel.charts[place])
            _names(axes, panel, place % columns == 0)
        else:
            axes.set_visible(False)
    return figure


def _chart(axes: Axes, chart: BarChart) -> None:
    plain(axes)
    axes.set_title(chart.title, size=TEXT, weight="bold", color=INK, loc="left", pad=4)
    axes.set_xlabel(chart.axis, size=SMALL, color=INK, labelpad=1)
    left, right = _scale(axes, chart)
    for place, bar in enumerate(chart.bars):
        _bar(axes, bar, place, max(left, 0.0), chart.dots)
    if left < 0:
        axes.axvline(0, color=FAINT, linewidth=0.6)
    if chart.baseline and left < chart.baseline < right:
        axes.axvline(chart.baseline, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    axes.set_ylim(len(chart.bars) - 0.4, -0.6)


def _names(axes: Axes, panel: Panel, first: bool) -> None:
    """The operators' names, beside the first chart of a row of charts only."""
    bars = panel.charts[0].bars if first else ()
    axes.tick_params(axis="y", length=0)
    axes.set_yticks(range(len(bars)), [_label(bar.name) for bar in bars])
    for bar, label in zip(bars, axes.get_yticklabels(), strict=True):
        label.set(size=TEXT, weight="bold" if bar.name == panel.baseline else "normal", parse_math=False)


def _scale(axes: Axes, chart: BarChart) -> tuple[float, float]:
    """Sets the value axis, with room for the numbers, and returns its ends."""
    values = [
        end for bar in chart.bars if bar.value is not None for end in (bar.low, bar.high, bar.value) if end is not None
    ]
    most, least = max([*values, 0.0]), min([*values, 0.0])
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    if chart.log:
        left = 10.0 ** math.floor(math.log10(min(one for one in values if one > 0) * 0.8))
        right = left * (most / left) ** (1 / FILLED)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.xaxis.set_minor_locator(NullLocator())
    elif chart.dots:
        left = min(values) - (max(values) - min(values) or 1.0) * APART
        right = left + (max(values) - left) / FILLED
        axes.xaxis.set_major_locator(MaxNLocator(4))
    else:
        left = least - (most - least) * APART if least < 0 else 0.0
        right = (most or (0.0 if least < 0 else 1.0)) + (most - left) * (1 / FILLED - 1)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlim(left, right)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value).replace("-", MINUS)))
    return left, right


def _bar(axes: Axes, bar: Bar, place: int, start: float, dots: bool) -> None:
    value = bar.value or 0.0
    if dots and value:
        axes.plot([value], [place], "o", color=colour(bar.name), markersize=4.5)
    elif value:
        axes.barh(place, value - start, left=start, height=0.72, color=colour(bar.name), linewidth=0)
    if bar.low is not None and bar.high is not None:
        spread = [[value - bar.low], [bar.high - value]]
        axes.errorbar([value], [place], xerr=spread, color=INK, elinewidth=0.7, capsize=1.5, capthick=0.7)
    style: dict[str, Any] = {"color": INK} if bar.value is not None else {"color": FAINT, "style": "italic"}
    style |= {"va": "center", "size": SMALL, "parse_math": False, "bbox": BLANK}
    end = max(value, bar.high or value, start)
    axes.annotate(bar.text, (end, place), (5 if dots else 3, 0), textcoords="offset points", **style)


def _label(name: str) -> str:
    """A name that leaves room for the charts: the middle of a very long one is left out."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 10]}…{name[-9:]}"
