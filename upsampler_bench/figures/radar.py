"""Radars as small multiples: a cell an operator with the baseline behind it, and first a cell that names the axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from upsampler_bench.figures.frame import FAINT, GRID, INK, SMALL, TEXT, Frame, framed, settle
from upsampler_bench.figures.palette import colour
from upsampler_bench.report.pictures import Outline, Radar

# Inches; the key takes two cells of its row.
CELL, HIGH, REACH, KEY = 7 / 6, 1.16, 0.43, 2
FEW = 4
# The middle is a ring, so that the dearest operator still has an outline.
HOLE = 0.14
RINGS = (0.0, 0.5, 1.0)
LONGEST = 18


def draw(radar: Radar) -> Figure:
    """The figure, one column of a paper wide with up to four operators, else two."""
    columns = 3 if len(radar.outlines) <= FEW else 6
    rows = math.ceil((len(radar.outlines) + KEY) / columns)
    figure = framed(Frame(columns * CELL, rows * HIGH, radar.title, radar.subtitle, radar.caption))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, columns * CELL), ylim=(rows * HIGH, 0), aspect="equal")
    behind = next((one for one in radar.outlines if one.name == radar.baseline), None)
    _key(axes, radar.axes, (KEY * CELL / 2, HIGH / 2 + 0.04))
    for place, outline in enumerate(radar.outlines, KEY):
        row, column = divmod(place, columns)
        middle = ((column + 0.5) * CELL, (row + 0.5) * HIGH + 0.07)
        _rings(axes, len(radar.axes), middle)
        if behind and behind is not outline:
            _outline(axes, behind, middle, is_behind=True)
        _outline(axes, outline, middle, is_behind=False)
        _name(axes, outline.name, middle, outline.name == radar.baseline)
    settle(figure)
    return figure


def _spoke(place: int, count: int, far: float, middle: tuple[float, float]) -> tuple[float, float]:
    """The point of a spoke at `far` (0 at the inner ring, 1 at the rim); the first points up, then clockwise."""
    angle, reach = 2 * math.pi * place / count, REACH * (HOLE + (1 - HOLE) * far)
    return middle[0] + reach * math.sin(angle), middle[1] - reach * math.cos(angle)


def _rings(axes: Axes, count: int, middle: tuple[float, float]) -> None:
    for far in RINGS:
        corners = [_spoke(place, count, far, middle) for place in range(count)]
        axes.add_patch(Polygon(corners, facecolor="none", edgecolor=GRID, linewidth=0.6))
    for place in range(count):
        ends = (_spoke(place, count, 0.0, middle), _spoke(place, count, 1.0, middle))
        axes.plot(*zip(*ends, strict=True), color=GRID, linewidth=0.6)


def _outline(axes: Axes, outline: Outline, middle: tuple[float, float], is_behind: bool) -> None:
    """The polygon; where a number lacks it is open, with a cross on that axis."""
    count = len(outline.values)
    points = [None if far is None else _spoke(place, count, far, middle) for place, far in enumerate(outline.values)]
    whole = [one for one in points if one is not None]
    own = FAINT if is_behind else colour(outline.name)
    look: dict[str, Any] = {"color": own, "linewidth": 0.6 if is_behind else 1.1}
    look |= {"linestyle": (0, (3, 2)) if is_behind else "solid", "solid_joinstyle": "round"}
    for one, other in zip(points, [*points[1:], points[0]], strict=True):
        if one is not None and other is not None:
            axes.plot(*zip(one, other, strict=True), **look)
    if is_behind:
        return
    if len(whole) == count:
        axes.add_patch(Polygon(whole, facecolor=own, alpha=0.28, linewidth=0))
    axes.plot(*zip(*whole, strict=True), "o", color=own, markersize=1.8)
    for place, far in enumerate(outline.values):
        if far is None:
            x, y = _spoke(place, count, 0.5, middle)
            axes.plot([x], [y], "x", color=INK, markersize=3.5, markeredgewidth=0.8)


def _name(axes: Axes, name: str, middle: tuple[float, float], bold: bool) -> None:
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 8]}…{name[-7:]}"
    weight = "bold" if bold else "normal"
    look: dict[str, Any] = {"ha": "center", "va": "bottom", "size": TEXT, "color": INK, "parse_math": False}
    axes.text(middle[0], middle[1] - REACH - 0.04, short, weight=weight, **look)


def _key(axes: Axes, titles: Sequence[str], middle: tuple[float, float]) -> None:
    """A radar without an outline whose spokes are named."""
    _rings(axes, len(titles), middle)
    for place, title in enumerate(titles):
        x, y = _spoke(place, len(titles), 1.12, middle)
        across, up = x - middle[0], middle[1] - y
        side = "center" if abs(across) < 0.05 else "left" if across > 0 else "right"
        upright = "center" if side != "center" else "bottom" if up > 0 else "top"
        look: dict[str, Any] = {"ha": side, "va": upright, "size": SMALL, "color": INK, "parse_math": False}
        axes.text(x, y, title, **look)
