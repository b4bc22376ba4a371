"""A cost against the size of the input: over conditions that differ in the side of the feature, or in its channels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import linear_regression

from upsampler_bench import units
from upsampler_bench.case import Case
from upsampler_bench.report.lines import Condition
from upsampler_bench.report.naming import distinguish, file_name
from upsampler_bench.report.pictures import Axis, Plane, Point, Polyline
from upsampler_bench.report.pictures._numbers import estimate, interval
from upsampler_bench.results import MetricInfo

PLACE = 4
OF = "swept"
FEWEST = 3
# Metrics, and what their pictures' files are called besides the swept size.
COSTS = {"latency": "", "inference_memory": "memory"}


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is swept.

    Attributes:
        slug: part of the name of the picture's file.
        size: a case's position on the axis.
        fixed: the case without what is swept: alike for all conditions of one sweep.
        tick: a position as text.
        shape: the shape of the input, what is swept as letters.
    """

    slug: str
    axis: str
    size: Callable[[Case], float]
    fixed: Callable[[Case], Case]
    tick: Callable[[float], str]
    shape: Callable[[Case], str]


SIZE = Sweep(
    "size",
    "Input pixels H×W",
    lambda case: float(case.height * case.width),
    lambda case: replace(case, height=0, width=0) if case.height == case.width else case,
    lambda size: f"{math.isqrt(round(size))}²",
    lambda case: f"{case.batch}×{case.channels}×H×W",
)
CHANNELS = Sweep(
    "channels",
    "Channels C",
    lambda case: float(case.channels),
    lambda case: replace(case, channels=0),
    lambda size: f"{size:g}",
    lambda case: f"{case.batch}×C×{case.height}×{case.width}",
)


def pictures(conditions: Sequence[Condition]) -> Iterator[Plane]:
    """One plane for each cost and each set of at least three sizes with all else alike."""
    for sweep, groups in _sweeps(conditions):
        names = distinguish([_identity(sweep, group[0]) for group in groups])
        for group, name in zip(groups, names, strict=True):
            for metric, short in COSTS.items():
                parts = [part for part in (sweep.slug, short, file_name(name)) if part]
                plane = _plane(sweep, group, metric, "-".join(parts))
                if plane:
                    yield plane


def swept(conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions of sweeps, but of each run one: where its sweeps cross, else the largest."""
    groups = [group for _, groups in _sweeps(conditions) for group in groups]
    sweeps_of = Counter(id(condition) for group in groups for condition in group)
    by_run: dict[int, list[Condition]] = {}
    for condition in conditions:
        if sweeps_of[id(condition)]:
            by_run.setdefault(id(condition.run), []).append(condition)
    left_out = []
    for of_run in by_run.values():
        shown = max(of_run, key=lambda condition: (sweeps_of[id(condition)], condition.case.elements))
        left_out += [condition for condition in of_run if condition is not shown]
    return left_out


def _sweeps(conditions: Sequence[Condition]) -> list[tuple[Sweep, list[list[Condition]]]]:
    """The groups of which a picture can be drawn."""

    def is_drawn(sweep: Sweep, group: Sequence[Condition]) -> bool:
        return any(_plane(sweep, group, metric, "") for metric in COSTS)

    return [
        (sweep, [group for group in _groups(sweep, conditions) if is_drawn(sweep, group)]) for sweep in (SIZE, CHANNELS)
    ]


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """The slope of log y over log x by least squares; None with fewer than two sizes."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    return linear_regression(*zip(*logs, strict=True)).slope


def _groups(sweep: Sweep, conditions: Sequence[Condition]) -> list[list[Condition]]:
    """The conditions that differ in the swept size alone, from small to large, one for each size."""
    groups: dict[object, dict[float, Condition]] = {}
    for condition in conditions:
        fixed = replace(sweep.fixed(condition.case), upsampler="", mode="", backend="")
        key = (condition.label, condition.device, condition.how, fixed)
        groups.setdefault(key, {}).setdefault(sweep.size(condition.case), condition)
    return [[group[size] for size in sorted(group)] for group in groups.values()]


def _identity(sweep: Sweep, condition: Condition) -> tuple[str, ...]:
    """What tells one sweep's pictures from another's in the names of files."""
    fixed = asdict(sweep.fixed(condition.case))
    letters = {"batch": "b", "channels": "c", "height": "h", "width": "w", "scale": "x"}
    parts = [
        f"{letters.get(name, '')}{value}"
        for name, value in fixed.items()
        if name not in ("upsampler", "mode", "backend")
    ]
    return condition.label, *parts


def _plane(sweep: Sweep, group: Sequence[Condition], metric: str, slug: str) -> Plane | None:
    info = next((found for condition in group if (found := condition.first((metric,)))), None)
    if info is None:
        return None
    names = list(dict.fromkeys(line.name for condition in group for line in condition.lines))
    points = {name: _points(sweep, group, info, name) for name in names}
    if len({point.x for curve in points.values() for point in curve}) < FEWEST:
        return None
    sizes = sorted(sweep.size(condition.case) for condition in group)
    # In the legend the operators stand in the order of the curves' ends.
    curves = sorted((curve for curve in points.values() if curve), key=lambda curve: -curve[-1].y)
    return Plane(
        name="sweep",
        title=f"{info.title} against {sweep.slug} on {group[0].device}",
        subtitle=_words(sweep, group[0]),
        x=Axis(sweep.axis, log=True, ticks=tuple((size, sweep.tick(size)) for size in sizes)),
        y=Axis(info.title, units.unit(info.unit).name, log=True),
        points=tuple(point for curve in curves for point in curve),
        lines=tuple(_line(curve) for curve in curves),
        caption=" ".join(_caption(sweep, group, info, names)),
        slug=slug,
    )


def _points(sweep: Sweep, group: Sequence[Condition], info: MetricInfo, name: str) -> list[Point]:
    points = []
    for condition in group:
        number = estimate(condition.line(name), info)
        if number and number.value > 0:
            ends = interval(number) if number.low > 0 else None
            points.append(Point(name, sweep.size(condition.case), number.value, y_interval=ends))
    return points


def _line(curve: Sequence[Point]) -> Polyline:
    points = tuple((point.x, point.y) for point in curve)
    steepness, name = slope(points), curve[0].name
    return Polyline(points, name, name if steepness is None else f"{name}, slope {steepness:.2f}")


def _words(sweep: Sweep, condition: Condition) -> str:
    """The condition in words, with letters for what is swept."""
    case = condition.case
    if case.model:
        return condition.words.replace(f"{case.height}×{case.width} images", "H×W images", 1)
    shape = f"{case.batch}×{case.channels}×{case.height}×{case.width}"
    return condition.words.replace(shape, sweep.shape(case), 1)


def _caption(sweep: Sweep, group: Sequence[Condition], info: MetricInfo, names: Sequence[str]) -> Iterator[str]:
    what = "pixels" if sweep is SIZE else "channels"
    yield f"Slope: of the curve on logarithmic axes, by least squares; 1 is proportional to the {what}."
    if not info.exact:
        yield "Error bars: 95 % interval."
    missing = [reasons for name in names if (reasons := _missing(sweep, group, info, name))]
    if missing:
        yield f"Not measured: {'; '.join(missing)}."


def _missing(sweep: Sweep, group: Sequence[Condition], info: MetricInfo, name: str) -> str:
    """At which sizes an operator has no number, and why."""
    sizes: dict[str, list[str]] = {}
    for condition in group:
        line = condition.line(name)
        if not estimate(line, info):
            reason = (line.why_not(info) if line else "not requested") or "no reading"
            sizes.setdefault(reason, []).append(sweep.tick(sweep.size(condition.case)))
    reasons = "; ".join(f"{reason} at {', '.join(found)}" for reason, found in sizes.items())
    return f"{name} ({reasons})" if reasons else ""
