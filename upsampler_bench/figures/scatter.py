"""Scatters: two costs, or a cost and a quality; areas, fronts, whose figures they are; every label free of others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea, HPacker, TextArea, VPacker
from matplotlib.patches import Circle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from upsampler_bench.figures.frame import FAINT, GRID, INK, SMALL, TEXT, Frame, framed, plain, settle
from upsampler_bench.figures.labels import Line, Mark, label
from upsampler_bench.figures.palette import colour
from upsampler_bench.report.bubble import PUBLISHED
from upsampler_bench.report.pictures import Point, Scatter
from upsampler_bench.units import tick

# Inches: a column of a journal, and two where a column is too narrow for so many names.
NARROW, WIDE, CROWD = (3.5, 2.7), (7.0, 3.4), 12
# Radii in points; a circle below the least one could not be seen.
LEAST, MOST = 2.0, 12.0
GREY = "#c8c8c8"


def draw(scatter: Scatter) -> Figure:
    """The figure, one column of a paper wide, or two where there are many operators."""
    width, height = NARROW if len(scatter.points) <= CROWD else WIDE
    figure = framed(Frame(width, height, scatter.title, scatter.subtitle, scatter.caption))
    axes = figure.subplots()
    plain(axes)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_xlabel(scatter.x_axis, size=TEXT, color=INK, labelpad=2)
    axes.set_ylabel(scatter.y_axis, size=TEXT, color=INK, labelpad=2)
    for point in sorted(scatter.points, key=lambda one: -one.size):
        _circle(axes, point, _radius(scatter, point.size))
    pairs = _pairs(axes, scatter.points)
    axes.margins(0.13)
    _scale(axes, scatter)
    fronts = _fronts(axes, scatter)
    _key(axes, scatter)
    settle(figure)
    label(axes, _marks(scatter), lines=[*pairs, *fronts])
    return figure


def _circle(axes: Axes, point: Point, radius: float) -> None:
    own, ring = colour(point.name), point.source == PUBLISHED
    axes.hlines(point.y, point.low, point.high, color=INK, linewidth=0.7, zorder=1.7 if ring else 1.5)
    look: dict[str, Any] = {"markerfacecolor": "white" if ring else own, "markeredgecolor": own if ring else "white"}
    look |= {"markeredgewidth": 0.9, "zorder": 1.6} if ring else {"markeredgewidth": 0.4}
    axes.plot([point.x], [point.y], "o", markersize=2 * radius, **look)


def _pairs(axes: Axes, points: Sequence[Point]) -> list[Line]:
    """A line between the two circles of one operator."""
    lines: list[Line] = []
    for ring in (one for one in points if one.source == PUBLISHED):
        for full in (one for one in points if one.name == ring.name and one.x != ring.x):
            axes.plot([full.x, ring.x], [full.y, ring.y], color=colour(ring.name), linewidth=0.7, zorder=1.4)
            lines.append(((full.x, full.y), (ring.x, ring.y)))
    return lines


def _radius(scatter: Scatter, size: float) -> float:
    """Such that the area follows the size."""
    most = max(point.size for point in scatter.points)
    return max(LEAST, MOST * math.sqrt(max(size, 0.0) / most)) if most > 0 else LEAST * 1.5


def _scale(axes: Axes, scatter: Scatter) -> None:
    if scatter.log:
        axes.set_xscale("log")
    if scatter.y_log:
        axes.set_yscale("log")
    for axis, log in ((axes.xaxis, scatter.log), (axes.yaxis, scatter.y_log)):
        _ticks(axis, log)


def _ticks(axis: Axis, log: bool) -> None:
    if log:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))


def _fronts(axes: Axes, scatter: Scatter) -> list[Line]:
    """Staircases along the fronts, from edge to edge: all above and right of one is beaten by it."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    dashed = (0, (4, 3))
    lines: list[Line] = []
    for names, line in ((scatter.front, "solid"), (scatter.learned, dashed)):
        kept = sorted((one.x, one.y) for one in scatter.points if one.name in names)
        if kept:
            path = [(kept[0][0], top), *kept, (right, kept[-1][1])]
            xs, ys = zip(*path, strict=True)
            look: dict[str, Any] = {"drawstyle": "steps-post", "linestyle": line, "linewidth": 0.8, "zorder": 1.3}
            axes.plot(xs, ys, color=FAINT, **look)
            for one, other in pairwise(path):
                lines += [(one, (other[0], one[1])), ((other[0], one[1]), other)]
    axes.set(xlim=(left, right), ylim=(bottom, top))
    return lines


def _key(axes: Axes, scatter: Scatter) -> None:
    """Above the axes: what an area means, and whose figures full circles and rings are."""
    parts = [one for one in ([*_sizes(scatter)], [*_sources(scatter)]) if one]
    if parts:
        rows: list[Artist] = [HPacker(children=one, align="center", pad=0, sep=4) for one in parts]
        pack: type[HPacker | VPacker] = HPacker if len(scatter.points) > CROWD else VPacker
        row = pack(children=rows, align="center" if pack is HPacker else "left", pad=0, sep=4)
        where: dict[str, Any] = {"bbox_to_anchor": (0.0, 1.0), "bbox_transform": axes.transAxes, "frameon": False}
        axes.add_artist(AnchoredOffsetbox("lower left", child=row, pad=0, borderpad=0.4, **where))


def _sizes(scatter: Scatter) -> Iterator[Artist]:
    """Two circles of round sizes."""
    most = max(point.size for point in scatter.points)
    if scatter.size_title and most > 0:
        top = 10.0 ** math.floor(math.log10(most))
        for size in (top / 10, top):
            look = {"facecolor": GREY, "linewidth": 0}
            yield from _explained(_radius(scatter, size), f"{tick(size)} {scatter.size_title}", look)


def _sources(scatter: Scatter) -> Iterator[Artist]:
    for source in dict.fromkeys(one.source for one in scatter.points if one.source):
        ring = {"facecolor": "none", "edgecolor": FAINT, "linewidth": 0.9}
        yield from _explained(3.0, source, ring if source == PUBLISHED else {"facecolor": FAINT, "linewidth": 0})


def _explained(radius: float, words: str, look: dict[str, Any]) -> tuple[Artist, Artist]:
    box = DrawingArea(2 * radius, 2 * radius)
    box.add_artist(Circle((radius, radius), radius, **look))
    return box, TextArea(f"{words}  ", textprops={"size": SMALL, "color": INK})


def _marks(scatter: Scatter) -> list[Mark]:
    """A label an operator: beside the first of its circles where it has two, which may also lie on each other."""
    owner = {one.name: one for one in reversed(scatter.points)}
    marks = [_mark(scatter, one, one.name) for one in owner.values()]
    rings = [one for one in scatter.points if (owner[one.name].x, owner[one.name].y) != (one.x, one.y)]
    return [*marks, *(_mark(scatter, one, "") for one in rings)]


def _mark(scatter: Scatter, point: Point, text: str) -> Mark:
    return Mark(text, point.x, point.y, _radius(scatter, point.size), point.name in scatter.front)
