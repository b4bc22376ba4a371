"""Curves over a size, both axes logarithmic; each is named at its end, with its slope."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from upsampler_bench.figures.frame import GRID, INK, SMALL, TEXT, Frame, framed, plain, settle
from upsampler_bench.figures.labels import INCH, box, style
from upsampler_bench.figures.palette import colour
from upsampler_bench.report.pictures import Curve, Curves
from upsampler_bench.units import tick

WIDTH, HEIGHT = 3.5, 2.7
# Points from name to name, from the axes to the names, and the part of that which a line runs level.
STEP, AWAY, LEVEL = 7.6, 17.0, 0.15
SHAPES = "os^Dv"


def draw(curves: Curves) -> Figure:
    """The figure, one column of a paper wide, as high as the names need."""
    height = max(HEIGHT, (STEP * len(curves.curves) + 40) / INCH)
    figure = framed(Frame(WIDTH, height, curves.title, curves.subtitle, curves.caption))
    axes = figure.subplots()
    plain(axes)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(curves.x_axis, size=TEXT, color=INK, labelpad=2)
    axes.set_ylabel(curves.y_axis, size=TEXT, color=INK, labelpad=2)
    for place, curve in enumerate(curves.curves):
        _curve(axes, curve, SHAPES[place % len(SHAPES)])
    _ticks(axes, curves)
    _leave_room(figure, axes, curves)
    settle(figure)
    _names(figure, axes, curves)
    return figure


def spread(wanted: Sequence[float], step: float, low: float, high: float) -> list[float]:
    """Places in the same order, as near to those wanted as may be, at least `step` apart and inside where they fit."""
    order = sorted(range(len(wanted)), key=lambda one: (wanted[one], one))
    blocks: list[list[float]] = []
    for rank, one in enumerate(order):
        blocks.append([wanted[one] - rank * step])
        while len(blocks) > 1 and _mean(blocks[-2]) >= _mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    most = max(low, high - step * (len(wanted) - 1))
    shifts = [min(max(_mean(block), low), most) for block in blocks for _ in block]
    placed = dict(zip(order, (shift + rank * step for rank, shift in enumerate(shifts)), strict=True))
    return [placed[one] for one in range(len(wanted))]


def _mean(block: Sequence[float]) -> float:
    return sum(block) / len(block)


def _curve(axes: Axes, curve: Curve, shape: str) -> None:
    xs, ys, lows, highs = zip(*curve.points, strict=True)
    own = colour(curve.name)
    axes.vlines(xs, lows, highs, color=INK, linewidth=0.6)
    axes.plot(xs, ys, shape, linestyle="-", color=own, linewidth=1.0, markersize=2.6, markeredgewidth=0)


def _ticks(axes: Axes, curves: Curves) -> None:
    words = dict(curves.sizes)
    axes.xaxis.set_major_locator(
        FixedLocator(list(words) or sorted({one[0] for c in curves.curves for one in c.points}))
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.get(value, tick(value))))
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())


def _leave_room(figure: Figure, axes: Axes, curves: Curves) -> None:
    """Keeps the right side free for the names."""
    widest = 0.0
    for curve in curves.curves:
        text = figure.text(0, 0, _text(curve), **style(False, SMALL))
        widest = max(widest, box(text).right - box(text).left)
        text.remove()
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    left, bottom, _, height = engine.get()["rect"]
    engine.set(rect=(left, bottom, 1 - (widest + AWAY + 4) / INCH / WIDTH, height))


def _text(curve: Curve) -> str:
    return curve.name if curve.slope is None else f"{curve.name}  {curve.slope:.2f}"


def _names(figure: Figure, axes: Axes, curves: Curves) -> None:
    """Names in a column right of the axes, in the order of the curves' ends, a line from each end to its name."""
    height = axes.get_window_extent().height * INCH / figure.dpi
    back = axes.transAxes.inverted()
    ends = [back.transform(axes.transData.transform(curve.points[-1][:2])) for curve in curves.curves]
    placed = spread([end[1] * height for end in ends], STEP, STEP / 2, height - STEP / 2)
    width = axes.get_window_extent().width * INCH / figure.dpi
    near, far = 1 + AWAY * LEVEL / width, 1 + AWAY * (1 - LEVEL) / width
    for curve, end, y in zip(curves.curves, ends, placed, strict=True):
        path = [(end[0], end[1]), (near, end[1]), (far, y / height)]
        look: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
        axes.plot(*zip(*path, strict=True), color=colour(curve.name), linewidth=0.5, **look)
        words = style(False, SMALL) | {"va": "center", "transform": axes.transAxes}
        axes.text(1 + AWAY / width, y / height, _text(curve), **words)
