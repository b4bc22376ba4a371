"""Names beside circles: each near its own, free of all others and inside the axes, with a line where it is not near."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.text import Text

from upsampler_bench.figures.frame import FAINT, INK, TEXT
from upsampler_bench.figures.placing import Box, Spot, place

INCH = 72
EDGE, THIN = 3.0, 0.5


@dataclass(frozen=True, slots=True)
class Mark:
    """A circle at (x, y) of the axes, its radius in points; without a text it wants no label."""

    text: str
    x: float
    y: float
    radius: float
    bold: bool = False


# From (x, y) to (x, y) of the axes.
Line: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


def label(
    axes: Axes, marks: Sequence[Mark], words: Sequence[Text] = (), lines: Sequence[Line] = (), size: float = TEXT
) -> list[Text]:
    """Writes the labels of all marks, clear of words and of level or upright lines that stand there already.

    The layout must be settled.
    """
    named, unnamed = [one for one in marks if one.text], [one for one in marks if not one.text]
    spots = [_spot(axes, one, size) for one in named]
    taken = [*(box(word) for word in words), *(_thin(axes, line) for line in lines)]
    boxes = place(spots, _inside(axes), [_spot(axes, one, size) for one in unnamed], taken)
    return [_write(axes, *one, size) for one in zip(named, spots, boxes, strict=True)]


def box(text: Text) -> Box:
    """Where a text stands, in points from the figure's lower left corner."""
    extent, scale = text.get_window_extent(), INCH / _dpi(text)
    return Box(*(edge * scale for edge in (extent.x0, extent.y0, extent.x1, extent.y1)))


def style(bold: bool, size: float) -> dict[str, Any]:
    """How a name is written."""
    return {"size": size, "color": INK, "weight": "bold" if bold else "normal", "parse_math": False}


def _dpi(artist: Text | Axes) -> float:
    figure = artist.get_figure(root=True)
    assert figure is not None
    return float(figure.dpi)


def _inside(axes: Axes) -> Box:
    area, scale = axes.get_window_extent(), INCH / _dpi(axes)
    left, bottom, right, top = (edge * scale for edge in (area.x0, area.y0, area.x1, area.y1))
    return Box(left + EDGE, bottom + EDGE, right, top)


def _thin(axes: Axes, line: Line) -> Box:
    """A line as a rectangle that no label lies on."""
    (x, y), (other_x, other_y) = (axes.transData.transform(end) * INCH / _dpi(axes) for end in line)
    return Box(min(x, other_x) - THIN, min(y, other_y) - THIN, max(x, other_x) + THIN, max(y, other_y) + THIN)


def _spot(axes: Axes, mark: Mark, size: float) -> Spot:
    text = axes.text(0.5, 0.5, mark.text, transform=axes.transAxes, **style(mark.bold, size))
    extent = box(text)
    text.remove()
    x, y = axes.transData.transform((mark.x, mark.y)) * INCH / _dpi(axes)
    return Spot(x, y, mark.radius, extent.right - extent.left, extent.top - extent.bottom)


def _write(axes: Axes, mark: Mark, spot: Spot, found: Box, size: float) -> Text:
    x, y = found.nearest(spot.x, spot.y)
    if math.dist((x, y), (spot.x, spot.y)) > spot.radius + 4:
        arrow = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "shrinkA": 0, "shrinkB": spot.radius}
        axes.annotate("", (mark.x, mark.y), (x - spot.x, y - spot.y), textcoords="offset points", arrowprops=arrow)
    middle = ((found.left + found.right) / 2 - spot.x, (found.bottom + found.top) / 2 - spot.y)
    look = style(mark.bold, size) | {"ha": "center", "va": "center"}
    return axes.annotate(mark.text, (mark.x, mark.y), middle, textcoords="offset points", **look)
