"""A plane of points and lines: circles with labels and error bars, staircases, a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.axis import Axis as Ticks
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from upsampler_bench.figures.frame import FAINT, GRID, INK, SMALL, TEXT, framed, plain
from upsampler_bench.figures.palette import Colours
from upsampler_bench.report.pictures import Axis, Plane, Point, Polyline
from upsampler_bench.text import shortened
from upsampler_bench.units import tick

# Inches: a column of a journal, and two for many operators.
NARROW, WIDE, CROWD = (3.5, 2.9), (7.0, 3.8), 8
# A count and not a time limits the search for places of labels: the same picture each time.
ITERATIONS = 200
# Points between a circle and its label.
GAP = 1.5
# Pixels from which on a line leads from a label to its circle.
LEADER = 14
# Of a label, in letters.
LONGEST = 64
# Lines are avoided in pieces of this many points.
PIECE = 4.0


def draw(plane: Plane, colours: Colours) -> Figure:
    """The figure, one column of a paper wide, or two where there are many operators."""
    width, height = NARROW if len({point.name for point in plane.points}) <= CROWD else WIDE
    figure = framed(plane, width, height)
    axes = figure.subplots()
    plain(axes)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_xlabel(plane.x.label, size=TEXT, color=INK, labelpad=2)
    axes.set_ylabel(plane.y.label, size=TEXT, color=INK, labelpad=2)
    axes.set(xscale="log" if plane.x.log else "linear", yscale="log" if plane.y.log else "linear")
    for line in plane.lines:
        _line(axes, line, colours)
    for point in sorted(plane.points, key=lambda point: -point.size):
        _circle(axes, point, colours[point.name], plane.radius(point.size, small=point.small))
    axes.margins(0.1)
    _ticks(axes.xaxis, plane.x)
    _ticks(axes.yaxis, plane.y)
    _legend(axes, plane, colours)
    # The layout is fixed before labels are placed by hand.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    label(axes, plane)
    return figure


def _line(axes: Axes, line: Polyline, colours: Colours) -> None:
    xs, ys = zip(*line.points, strict=True)
    axes.plot(
        xs,
        ys,
        color=colours[line.name] if line.name else FAINT,
        linewidth=0.8,
        linestyle=(0, (4, 3)) if line.dashed else "solid",
        drawstyle="steps-post" if line.steps else "default",
        zorder=1.4,
    )


def _circle(axes: Axes, point: Point, own: str, radius: float) -> None:
    zorder = 1.6 if point.hollow else 2.0
    for interval, draw_line, at in ((point.x_interval, axes.hlines, point.y), (point.y_interval, axes.vlines, point.x)):
        if interval:
            draw_line(at, *interval, color=INK, linewidth=0.7, zorder=zorder - 0.1)
    look: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": own, "markeredgewidth": 0.9}
    if not point.hollow:
        look = {"markerfacecolor": own, "markeredgecolor": "white", "markeredgewidth": 0.4}
    axes.plot([point.x], [point.y], "o", markersize=2 * radius, zorder=zorder, **look)


def _ticks(ticks: Ticks, axis: Axis) -> None:
    texts = dict(axis.ticks)
    if texts:
        ticks.set_major_locator(FixedLocator(list(texts)))
    elif axis.log:
        low, high = ticks.get_view_interval()
        many_decades = high > 1e3 * low
        ticks.set_major_locator(LogLocator(subs=(1.0,) if many_decades else (1.0, 2.0, 5.0), numticks=8))
    else:
        ticks.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
    if axis.log:
        ticks.set_minor_locator(NullLocator())
    ticks.set_major_formatter(FuncFormatter(lambda value, _: texts.get(value, tick(value))))


def _legend(axes: Axes, plane: Plane, colours: Colours) -> None:
    """Curves on the right; above the axes what full circles, rings and areas stand for."""
    curves = [Line2D([], [], color=colours[line.name], label=line.legend) for line in plane.lines if line.legend]
    circles = []
    if plane.fills:
        circles.append(_sample(plane.fills[0], 3.0, FAINT, FAINT))
        circles.append(_sample(plane.fills[1], 3.0, "none", FAINT))
    largest = max(point.size for point in plane.points)
    if plane.size and largest > 0:
        top = 10.0 ** math.floor(math.log10(largest))
        circles += [
            _sample(f"{tick(size)} {plane.size}", plane.radius(size), "#c8c8c8", "none") for size in (top / 10, top)
        ]
    look: dict[str, Any] = {"frameon": False, "fontsize": SMALL, "borderaxespad": 0.3, "handletextpad": 0.6}
    if curves:
        axes.legend(handles=curves, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2, **look)
    elif circles:
        columns = len(circles) if axes.figure.bbox.width > NARROW[0] * axes.figure.dpi else 2
        axes.legend(
            handles=circles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, columnspacing=1.2, **look
        )


def _sample(text: str, radius: float, face: str, edge: str) -> Line2D:
    return Line2D([], [], linestyle="", marker="o", markersize=2 * radius, mfc=face, mec=edge, label=text)


def label(axes: Axes, plane: Plane) -> list[Text]:
    """Writes the labels next to their circles, free of each other; a line leads to a circle that is not near."""
    labelled, texts = [point for point in plane.points if point.label], []
    pixels, back = axes.figure.dpi / 72, axes.transData.inverted()
    for point in labelled:
        # Above its circle at first.
        x, y = axes.transData.transform((point.x, point.y))
        at = back.transform((x, y + (plane.radius(point.size, small=point.small) + GAP) * pixels))
        look: dict[str, Any] = {"weight": "bold" if point.bold else "normal"}
        texts.append(
            axes.text(
                at[0], at[1], shortened(point.label, LONGEST), size=SMALL, color=INK, ha="center", va="bottom", **look
            )
        )
    if not texts:
        return texts
    targets = {"target_x": [point.x for point in labelled], "target_y": [point.y for point in labelled]}
    shared = {"ax": axes, "avoid_self": False, "iter_lim": ITERATIONS, **targets}
    adjust_text(
        texts,
        objects=_obstacles(axes, plane),
        force_explode=(0.3, 0.8),
        force_static=(0.4, 0.8),
        max_move=(20, 20),
        min_arrow_len=math.inf,
        **shared,
    )
    _stack(axes, texts)
    # Once more without forces, for the lines alone.
    line = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.5}
    still = dict.fromkeys(("force_text", "force_static", "force_pull", "force_explode"), (0, 0))
    adjust_text(texts, min_arrow_len=LEADER, arrowprops=line, prevent_crossings=False, **still, **shared)
    return texts


def _stack(axes: Axes, texts: Sequence[Text]) -> None:
    """Moves labels into the axes, and up from another, or down at the top.

    A label may touch circles and lines where it is crowded, but never another label.
    """
    inside, placed = axes.get_window_extent(), list[Bbox]()
    for text in sorted(texts, key=lambda one: float(one.get_window_extent().y0)):
        at = text.get_window_extent()
        right = max(inside.x0 - at.x0, 0) + min(inside.x1 - at.x1, 0)
        for up in (at.height, -at.height):
            free = at.translated(right, 0)
            while any(free.overlaps(other) for other in placed) and inside.y0 <= free.y0 and free.y1 <= inside.y1:
                free = free.translated(0, up)
            if inside.y0 <= free.y0 and free.y1 <= inside.y1:
                break
        x, y = axes.transData.transform(text.get_position())
        text.set_position(tuple(axes.transData.inverted().transform((x + free.x0 - at.x0, y + free.y0 - at.y0))))
        placed.append(free)


def _obstacles(axes: Axes, plane: Plane) -> list[Bbox]:
    """Rectangles around the circles and along the lines, in the units of the axes."""
    pixels = axes.figure.dpi / 72
    boxes = []
    for point in plane.points:
        (x, y), reach = (
            axes.transData.transform((point.x, point.y)),
            (plane.radius(point.size, small=point.small) + 1) * pixels,
        )
        boxes.append(Bbox.from_extents(x - reach, y - reach, x + reach, y + reach))
    for line in plane.lines:
        for start, end in pairwise(axes.transData.transform(line.points)):
            corner = np.array([end[0], start[1]]) if line.steps else end
            for one, other in ((start, corner), (corner, end)):
                pieces = max(1, round(math.dist(one, other) / (PIECE * pixels)))
                steps = [one + (other - one) * step / pieces for step in range(pieces + 1)]
                boxes += [Bbox.from_extents(*step - pixels / 2, *step + pixels / 2) for step in steps]
    return [box.transformed(axes.transData.inverted()) for box in boxes]
