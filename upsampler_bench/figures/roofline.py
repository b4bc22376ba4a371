"""The roofline, both axes logarithmic; left of it a strip for operators that multiply nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from upsampler_bench.figures.frame import FAINT, GRID, INK, SMALL, TEXT, Frame, framed, plain, settle
from upsampler_bench.figures.labels import Line, Mark, label
from upsampler_bench.figures.palette import colour
from upsampler_bench.report.pictures import Reached, Roofline
from upsampler_bench.units import short, tick

# Inches: one column of a journal, or two for many operators.
NARROW, WIDE, CROWD = (3.5, 2.9), (7.0, 3.6), 8
# Inches of the strip, and the radius of a circle in points.
STRIP, RADIUS = 0.95, 2.6
GIGA, PIECES = 1e9, 40


def draw(roofline: Roofline) -> Figure:
    """The figure, with the strip only where an operator belongs in it."""
    idle = [one for one in roofline.points if not one.intensity]
    busy = [one for one in roofline.points if one.intensity]
    width, height = NARROW if len(roofline.points) <= CROWD else WIDE
    figure = framed(Frame(width, height, roofline.title, roofline.subtitle, roofline.caption))
    sides = {"width_ratios": [STRIP, width - STRIP]} if idle and busy else {}
    grid = figure.subplots(1, 2 if sides else 1, squeeze=False, gridspec_kw=sides)[0]
    words = _roof(grid[-1], roofline, busy) if busy else []
    if idle:
        _strip(grid[0], roofline, idle)
    settle(figure)
    if idle:
        label(grid[0], [_mark(one, 0.0, one.share) for one in idle], size=SMALL)
    if busy:
        label(
            grid[-1],
            [_mark(one, one.intensity, one.multiplying / GIGA) for one in busy],
            words,
            _roof_line(roofline, grid[-1]),
            SMALL,
        )
    return figure


def _mark(one: Reached, x: float, y: float) -> Mark:
    return Mark(f"{one.name} {percent(one.share)}", x, y, RADIUS)


def percent(share: float) -> str:
    """A share as per cent with two digits: 0.58 %, 5.8 %, 58 %."""
    places = 0 if share >= 0.0995 else 1 if share >= 0.00995 else 2
    return f"{100 * share:.{places}f} %"


def _circle(axes: Axes, name: str, x: float, y: float) -> None:
    look: dict[str, Any] = {"color": colour(name), "markeredgecolor": "white", "markeredgewidth": 0.4}
    axes.plot([x], [y], "o", markersize=2 * RADIUS, **look)


def _strip(axes: Axes, roofline: Roofline, idle: Sequence[Reached]) -> None:
    plain(axes)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set(xlim=(-1, 1), ylim=(0, 1.05 * max(1.0, *(one.share for one in idle))), xticks=[])
    axes.axhline(1.0, color=INK, linewidth=0.9)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, 0))
    axes.set_ylabel(f"Share of a copy's {_rate(roofline.copying, 'B/s')}", size=TEXT, color=INK, labelpad=2)
    axes.set_xlabel("no multiply-add", size=SMALL, color=INK, labelpad=4)
    for one in idle:
        _circle(axes, one.name, 0.0, one.share)


def _roof(axes: Axes, roofline: Roofline, busy: Sequence[Reached]) -> list[Text]:
    plain(axes)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ridge, top = roofline.multiplying / roofline.copying, roofline.multiplying / GIGA
    left = min([ridge / 14, *(one.intensity / 2 for one in busy)])
    right = max([ridge * 8, *(one.intensity * 3 for one in busy)])
    slope = roofline.copying / GIGA
    axes.plot([left, ridge, right], [left * slope, top, top], color=INK, linewidth=1.0)
    least = min([left * slope, *(one.multiplying / GIGA / 2 for one in busy)])
    most = max([top, *(one.multiplying / GIGA for one in busy)])
    axes.set(xlim=(left, right), ylim=(least, most * (most / least) ** 0.12))
    for one in busy:
        _circle(axes, one.name, one.intensity, one.multiplying / GIGA)
    _axes_words(axes)
    return _rates(axes, roofline, left, ridge)


def _roof_line(roofline: Roofline, axes: Axes) -> list[Line]:
    """The roof in pieces so short that each is hardly larger than the rectangle around it."""
    left, right = axes.get_xlim()
    ridge, top, slope = roofline.multiplying / roofline.copying, roofline.multiplying / GIGA, roofline.copying / GIGA
    steps = [left * (ridge / left) ** (one / PIECES) for one in range(PIECES + 1)]
    return [*(((x, x * slope), (other, other * slope)) for x, other in pairwise(steps)), ((ridge, top), (right, top))]


def _axes_words(axes: Axes) -> None:
    axes.set_xlabel("Multiply-adds a byte (log scale)", size=TEXT, color=INK, labelpad=2)
    axes.set_ylabel("10⁹ multiply-adds a second (log scale)", size=TEXT, color=INK, labelpad=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=7))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))


def _rates(axes: Axes, roofline: Roofline, left: float, ridge: float) -> list[Text]:
    """What the two parts of the roof are, above them and near the ridge, where hardly an operator comes."""
    look: dict[str, Any] = {"size": SMALL, "color": FAINT, "style": "italic", "parse_math": False, "va": "bottom"}
    look["textcoords"] = "offset points"
    products = f"products: {_rate(roofline.multiplying, 'multiply-adds/s')}"
    copy, high = f"copy: {_rate(roofline.copying, 'B/s')}", left**0.3 * ridge**0.7
    return [
        axes.annotate(products, (ridge, roofline.multiplying / GIGA), (4, 2), **look),
        axes.annotate(copy, (high, high * roofline.copying / GIGA), (-3, 3), ha="right", **look),
    ]


def _rate(value: float, unit: str) -> str:
    """E.g. '41.1 GB/s', '112 G multiply-adds/s'."""
    size, letter = (1e12, "T") if value >= 1e12 else (GIGA, "G")
    gap = "" if unit.startswith("B") else " "
    return f"{short(value / size)} {letter}{gap}{unit}"
