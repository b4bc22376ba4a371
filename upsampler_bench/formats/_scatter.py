"""The scatter: latency against quality, a circle's area for its cost, every label free of the others."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea, HPacker, TextArea
from matplotlib.patches import Circle
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from upsampler_bench.formats._figure import FAINT, GRID, INK, SMALL, TEXT, Frame, framed, plain, settle
from upsampler_bench.formats._palette import colour
from upsampler_bench.formats._placing import Box, Spot, place
from upsampler_bench.report.numbers import tick
from upsampler_bench.report.pictures import Point, Scatter

WIDTH, HEIGHT = 3.5, 2.7
# Radii in points; a circle below the least one could not be seen.
LEAST, MOST = 2.0, 12.0


def draw(scatter: Scatter) -> Figure:
    """The figure, one column of a paper wide."""
    figure = framed(Frame(WIDTH, HEIGHT, scatter.title, scatter.subtitle, scatter.caption))
    axes = figure.subplots()
    plain(axes)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_xlabel(scatter.x_axis, size=TEXT, color=INK, labelpad=2)
    axes.set_ylabel(scatter.y_axis, size=TEXT, color=INK, labelpad=2)
    for point in sorted(scatter.points, key=lambda one: -one.size):
        _circle(axes, point, _radius(scatter, point.size))
    axes.margins(0.13)
    _x_axis(axes, scatter)
    if scatter.size_title:
        _sizes(axes, scatter)
    settle(figure)
    _labels(figure, axes, scatter)
    return figure


def _circle(axes: Axes, point: Point, radius: float) -> None:
    axes.hlines(point.y, point.low, point.high, color=INK, linewidth=0.7, zorder=1.5)
    look: dict[str, Any] = {
        "color": colour(point.name),
        "markeredgecolor": "white",
        "markeredgewidth": 0.4,
    }
    axes.plot([point.x], [point.y], "o", markersize=2 * radius, **look)


def _radius(scatter: Scatter, size: float) -> float:
    """Such that the area follows the size."""
    most = max(point.size for point in scatter.points)
    return max(LEAST, MOST * math.sqrt(max(size, 0.0) / most)) if most > 0 else LEAST * 1.5


def _x_axis(axes: Axes, scatter: Scatter) -> None:
    if scatter.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))


def _sizes(axes: Axes, scatter: Scatter) -> None:
    """Two circles above the axes say what an area means."""
    most = max(point.size for point in scatter.points)
    if most <= 0:
        return
    top = 10.0 ** math.floor(math.log10(most))
    parts = [part for size in (top / 10, top) for part in _explained(scatter, size)]
    row = HPacker(children=parts, align="center", pad=0, sep=4)
    where: dict[str, Any] = {"bbox_to_anchor": (0.0, 1.0), "bbox_transform": axes.transAxes, "frameon": False}
    axes.add_artist(AnchoredOffsetbox("lower left", child=row, pad=0, borderpad=0.4, **where))


def _explained(scatter: Scatter, size: float) -> tuple[Artist, Artist]:
    radius = _radius(scatter, size)
    box = DrawingArea(2 * radius, 2 * radius)
    box.add_artist(Circle((radius, radius), radius, facecolor="#c8c8c8", linewidth=0))
    return box, TextArea(f"{tick(size)} {scatter.size_title}  ", textprops={"size": SMALL, "color": INK})


def _labels(figure: Figure, axes: Axes, scatter: Scatter) -> None:
    """Places all labels, in points; a label that is not beside its circle gets a line to it."""
    points, scale = scatter.points, 72 / figure.dpi
    spots = [_spot(figure, axes, scatter, point, scale) for point in points]
    area = axes.get_window_extent()
    inside = Box(*(edge * scale for edge in (area.x0 + 4, area.y0 + 4, area.x1, area.y1)))
    for point, spot, box in zip(points, spots, place(spots, inside), strict=True):
        middle = ((box.left + box.right) / 2 - spot.x, (box.bottom + box.top) / 2 - spot.y)
        _leader(axes, point, spot, box)
        style: dict[str, Any] = {"ha": "center", "va": "center", "size": TEXT, "color": INK, "parse_math": False}
        axes.annotate(point.name, (point.x, point.y), middle, textcoords="offset points", **style)


def _spot(figure: Figure, axes: Axes, scatter: Scatter, point: Point, scale: float) -> Spot:
    text = figure.text(0, 0, point.name, size=TEXT, parse_math=False)
    extent = text.get_window_extent()
    text.remove()
    x, y = axes.transData.transform((point.x, point.y))
    return Spot(x * scale, y * scale, _radius(scatter, point.size), extent.width * scale, extent.height * scale)


def _leader(axes: Axes, point: Point, spot: Spot, box: Box) -> None:
    x, y = box.nearest(spot.x, spot.y)
    away = math.dist((x, y), (spot.x, spot.y))
    if away > spot.radius + 4:
        arrow = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "shrinkA": 0, "shrinkB": spot.radius}
        axes.annotate("", (point.x, point.y), (x - spot.x, y - spot.y), textcoords="offset points", arrowprops=arrow)
