"""The pictures of a report as plain data; `name` is the stem of its file, `slug` tells conditions apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

# What pictures may be called: an earlier report's files of these names go when a new report is drawn.
NAMES = ("panel", "bubble", "pareto", "sweep", "roofline")


@dataclass(frozen=True, slots=True)
class Bar:
    """One operator's place in a chart; without a value it is an empty slot that says `text`."""

    name: str
    value: float | None
    text: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class BarChart:
    """One metric of all operators.

    Attributes:
        name: the metric's.
        title: what is drawn.
        axis: what stands at the value axis: the unit, and whether the scale is logarithmic.
        baseline: where the dashed line stands, or None.
        log: the axis is logarithmic, so that one very large bar does not squash the rest.
        dots: the values are places and not lengths: dots on an axis that need not start at 0.
    """

    name: str
    title: str
    axis: str
    bars: tuple[Bar, ...]
    baseline: float | None = None
    log: bool = False
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Bar charts side by side, the same operators in the same order in each."""

    title: str
    subtitle: str
    baseline: str
    charts: tuple[BarChart, ...]
    caption: str = ""
    slug: str = ""
    name: str = "panel"


@dataclass(frozen=True, slots=True)
class Point:
    """One operator's circle: at (x, y), with an area of `size`; `low` and `high` bound x.

    Attributes:
        name: the operator's.
        source: whose figures these are, where a picture holds several ("measured", "published"); else empty.
    """

    name: str
    x: float
    y: float
    size: float
    low: float
    high: float
    source: str = ""


@dataclass(frozen=True, slots=True)
class Scatter:
    """Operators in the plane of two costs, or of a cost and a quality; the caption names who is left out.

    Attributes:
        size_title: what a circle's area stands for; empty where all are alike.
        log, y_log: which axes are logarithmic.
        front: the operators that no other beats in both, in the order of x; a line joins them.
        learned: the front of the operators that have parameters, where it is another; a dashed line joins them.
    """

    title: str
    subtitle: str
    x_axis: str
    y_axis: str
    size_title: str
    points: tuple[Point, ...]
    caption: str = ""
    log: bool = False
    slug: str = ""
    y_log: bool = False
    front: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """One operator's cost at several sizes: (x, y, low, high) each.

    Attributes:
        slope: of log y over log x by least squares, None with fewer than two points.
    """

    name: str
    points: tuple[tuple[float, float, float, float], ...]
    slope: float | None = None


@dataclass(frozen=True, slots=True)
class Curves:
    """A cost against a size, both axes logarithmic.

    Attributes:
        sizes: the places on the x axis, each with what is written there.
    """

    title: str
    subtitle: str
    x_axis: str
    y_axis: str
    curves: tuple[Curve, ...]
    caption: str = ""
    slug: str = ""
    name: str = "sweep"
    sizes: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reached:
    """What an operator reaches.

    Attributes:
        intensity: its multiply-adds a byte that it must move; 0 where it multiplies nothing.
        multiplying: multiply-adds a second.
        copying: bytes a second.
        bound: the rate that bounds it at its intensity, multiply-adds a second; 0 where it multiplies nothing.
        share: what part of its bound it reaches; where it multiplies nothing, of the rate of a copy.
    """

    name: str
    intensity: float
    multiplying: float
    copying: float
    bound: float
    share: float


@dataclass(frozen=True, slots=True)
class Roofline:
    """What operators reach of what the device was seen to do in the same run.

    Attributes:
        copying: bytes a second of a large copy.
        multiplying: multiply-adds a second of large products.
    """

    title: str
    subtitle: str
    copying: float
    multiplying: float
    points: tuple[Reached, ...]
    caption: str = ""
    slug: str = ""
    name: str = "roofline"


Picture: TypeAlias = Panel | Scatter | Curves | Roofline
