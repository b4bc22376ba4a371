"""Pictures as plain data; `figures` and `formats.html` draw them. Each other file of this folder makes one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from upsampler_bench import discovery
from upsampler_bench.results import Raster

if TYPE_CHECKING:
    from upsampler_bench.report.lines import Condition

# Up to MOST conditions are all drawn; of more the first OF_MORE pictures of each kind: nobody looks at hundreds.
MOST, OF_MORE = 16, 3
# The share of a bar chart's axis that the longest bar takes: its number stands in the rest.
FILLED = 0.74
# Between groups of bars, in bars.
APART = 0.7
# Radii of circles in points. A circle below the smallest could not be seen.
SMALLEST, MEDIUM, LARGEST = 2.0, 2.8, 12.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One operator's value; without a value an empty slot with a text, e.g. "failed".

    Attributes:
        interval: the ends of the 95 % interval, where there is one.
        segments: what the value consists of, (name, value) from left to right; empty: one piece.
        backend: what colours it, in a chart whose bars are grouped by operator; empty: the operator does.
    """

    name: str
    value: float | None
    text: str
    interval: tuple[float, float] | None = None
    segments: tuple[tuple[str, float], ...] = ()
    backend: str = ""

    @property
    def group(self) -> str:
        """The operator of a grouped bar; of any other its name."""
        return self.name.removesuffix(f" · {self.backend}")


@dataclass(frozen=True, slots=True)
class BarChart:
    """One metric of all operators, as horizontal bars.

    Attributes:
        name: the metric's name.
        axis: the text at the value axis: the unit, and whether the scale is logarithmic.
        baseline: where a dashed line is drawn, or None.
        log: the axis is logarithmic, so that one very long bar does not flatten the others.
        dots: dots instead of bars, on an axis that need not start at 0.
    """

    name: str
    title: str
    axis: str
    bars: tuple[Bar, ...]
    baseline: float | None = None
    log: bool = False
    dots: bool = False

    @property
    def places(self) -> list[float]:
        """Where each bar is, in bars from the top: groups are apart."""
        places = [0.0]
        for before, bar in pairwise(self.bars):
            places.append(places[-1] + (1.0 if bar.group == before.group or not bar.backend else 1.0 + APART))
        return places

    @property
    def labels(self) -> list[str]:
        """What is written at each bar: its name, of a group the operator's once."""
        groups = [bar.group for bar in self.bars]
        middle = {group: groups.index(group) + (groups.count(group) - 1) // 2 for group in groups}
        return [group if middle[group] == place else "" for place, group in enumerate(groups)]

    @property
    def ticks(self) -> tuple[float, ...]:
        """The numbers at an axis of shares (%); empty: the renderer chooses."""
        return (0, 25, 50, 75, 100) if any(bar.segments for bar in self.bars) else ()

    @property
    def range(self) -> tuple[float, float]:
        """The ends of the value axis, with room for the numbers behind the bars."""
        ends = [end for bar in self.bars if bar.value is not None for end in (bar.value, *(bar.interval or ()))]
        if not ends:
            return 0.0, 1.0
        if self.log:
            left = 10.0 ** math.floor(math.log10(min(end for end in ends if end > 0) * 0.8))
            return left, left * (max(ends) / left) ** (1 / FILLED)
        low, high = (min(ends), max(ends)) if self.dots else (min(*ends, 0.0), max(*ends, 0.0))
        margin = 0.08 * (high - low or 1.0)
        left = low - margin if self.dots or low < 0 else 0.0
        return left, left + ((high - left) or 1.0) / FILLED


@dataclass(frozen=True, slots=True)
class Panel:
    """Bar charts side by side, the same operators in the same order in each.

    Attributes:
        legend: the names of segments, or of backends, in their order; empty where bars have none.
    """

    title: str
    subtitle: str
    baseline: str
    charts: tuple[BarChart, ...]
    caption: str = ""
    slug: str = ""
    name: str = "panel"
    legend: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a plane.

    Attributes:
        ticks: (position, text) pairs; empty: the renderer chooses.
    """

    title: str
    unit: str = ""
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()

    @property
    def label(self) -> str:
        """E.g. 'Latency (ms, log scale)'."""
        inside = ", ".join(part for part in (self.unit, "log scale" if self.log else "") if part)
        return f"{self.title} ({inside})" if inside else self.title


@dataclass(frozen=True, slots=True)
class Point:
    """One operator's circle.

    Attributes:
        label: the text next to it; empty for none.
        size: its area, in the unit that the plane states.
        x_interval, y_interval: error bars, (low, high).
        hollow: a ring instead of a full circle.
        bold: the label is bold.
        small: the circle is as small as can be seen, whatever its size.
        note: a line of its hover text, besides the name and both coordinates.
    """

    name: str
    x: float
    y: float
    label: str = ""
    size: float = 0.0
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None
    hollow: bool = False
    bold: bool = False
    small: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Polyline:
    """A line through points (x, y).

    Attributes:
        name: the operator whose colour it has; empty: grey.
        legend: its text in the legend; empty: it is not in the legend.
        steps: a staircase: level, then up or down.
    """

    points: tuple[tuple[float, float], ...]
    name: str = ""
    legend: str = ""
    dashed: bool = False
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Plane:
    """Circles and lines in the plane of two numbers. The caption names the operators that are left out.

    Attributes:
        size: what a circle's area shows, e.g. "GFLOPs added"; empty where all are alike.
        fills: what full circles and rings stand for, where there are both.
    """

    name: str
    title: str
    subtitle: str
    x: Axis
    y: Axis
    points: tuple[Point, ...]
    lines: tuple[Polyline, ...] = ()
    size: str = ""
    fills: tuple[str, str] | None = None
    caption: str = ""
    slug: str = ""

    def radius(self, size: float, *, small: bool = False) -> float:
        """A circle's radius in points, such that its area is proportional to its size."""
        if small:
            return SMALLEST
        largest = max(point.size for point in self.points)
        return max(SMALLEST, LARGEST * math.sqrt(max(size, 0.0) / largest)) if largest > 0 else MEDIUM


@dataclass(frozen=True, slots=True)
class Heat:
    """A table of numbers whose cells are coloured.

    Attributes:
        columns: titles with their units.
        rows: an operator's name, and its cells: the text, and a level from 0 (white) to 1, or None for no colour.
    """

    name: str
    title: str
    subtitle: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, float | None], ...]], ...]
    baseline: str = ""
    caption: str = ""
    slug: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of a mosaic, with a few words below it; without an image the words alone."""

    raster: Raster | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Images in rows and columns, shown pixel by pixel.

    Attributes:
        rows: the text at the left, and the images, as many in each row.
    """

    name: str
    title: str
    subtitle: str
    rows: tuple[tuple[str, tuple[Tile, ...]], ...]
    caption: str = ""
    slug: str = ""

    @property
    def columns(self) -> int:
        """The images of a row."""
        return max(len(tiles) for _, tiles in self.rows)


Picture: TypeAlias = Panel | Plane | Heat | Mosaic


def names() -> tuple[str, ...]:
    """The pictures that there are, by the names of their files; none is imported."""
    return discovery.modules(__name__)


def pictures(
    conditions: Sequence[Condition], of_quality: Sequence[Condition] = (), stored: Sequence[Condition] = ()
) -> tuple[Picture, ...]:
    """All pictures, of many conditions only some, in the order of the modules' `PLACE`.

    What a sweep shows in one picture has no pictures of its own at each size, but at one.

    Args:
        conditions: under which costs were measured.
        of_quality: under which quality was measured; the modules with `OF = "quality"` draw them.
        stored: of other runs, of either kind; those with `OF = "both"` draw these beside the report's own.
    """
    modules = sorted((discovery.load(__name__, name) for name in names()), key=lambda module: int(module.PLACE))
    swept = {id(one) for module in modules if _of(module) == "swept" for one in module.swept(conditions)}
    apart = [condition for condition in conditions if id(condition) not in swept]
    drawn = {
        "swept": conditions,
        "costs": apart,
        "quality": of_quality,
        "both": (*conditions, *of_quality, *stored),
    }
    most = None if len(conditions) <= MOST else OF_MORE
    shown = ((module, drawn[_of(module)]) for module in modules)
    return tuple(picture for module, those in shown for picture in islice(module.pictures(those), most))


def _of(module: ModuleType) -> str:
    return getattr(module, "OF", "costs")
