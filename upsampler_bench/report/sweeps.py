"""A cost against the size of the input: over conditions that differ in the side of the feature, or in its channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from upsampler_bench.case import Case
from upsampler_bench.report.conditions import Scene, estimate, unit_and_scale
from upsampler_bench.report.pictures import Curve, Curves
from upsampler_bench.results import MetricInfo

FEWEST = 3
COSTS = {"latency": "", "inference_memory": "memory"}


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is swept.

    Attributes:
        slug: of the picture's file.
        size: a case's place on the axis.
        still: the case without what is swept: alike for all conditions of one sweep.
        tick: a place as words.
    """

    slug: str
    axis: str
    size: Callable[[Case], float]
    still: Callable[[Case], Case]
    tick: Callable[[float], str]


SIZE = Sweep(
    "size",
    "Input pixels H×W",
    lambda case: float(case.height * case.width),
    lambda case: replace(case, height=0, width=0) if case.height == case.width else case,
    lambda size: f"{math.isqrt(round(size))}²",
)
CHANNELS = Sweep(
    "channels",
    "Channels C",
    lambda case: float(case.channels),
    lambda case: replace(case, channels=0),
    lambda size: f"{size:g}",
)


def sweeps(scenes: Sequence[Scene]) -> Iterator[Curves]:
    """A picture a cost for each set of at least three sizes with all else alike."""
    for sweep in (SIZE, CHANNELS):
        groups = [group for group in _groups(sweep, scenes).values() if len(group) >= FEWEST]
        for group, own in zip(groups, _told_apart(sweep, groups), strict=True):
            for metric, short in COSTS.items():
                slug = "-".join(one for one in (sweep.slug, short, own) if one)
                made = _curves(sweep, group, metric, slug)
                if made:
                    yield made


def slope(points: Sequence[tuple[float, float, float, float]]) -> float | None:
    """Of log y over log x by least squares; None with fewer than two sizes."""
    logs = [(math.log(x), math.log(y)) for x, y, *_ in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    middle_x, middle_y = (sum(part) / len(logs) for part in zip(*logs, strict=True))
    across = sum((x - middle_x) ** 2 for x, _ in logs)
    along: float = sum((x - middle_x) * (y - middle_y) for x, y in logs) / across
    return along


def _groups(sweep: Sweep, scenes: Sequence[Scene]) -> Mapping[object, list[Scene]]:
    """The scenes that differ in the swept size alone, from small to large, one a size."""
    groups: dict[object, dict[float, Scene]] = {}
    for one in scenes:
        case = one.condition.case
        key = (one.label, one.device, one.condition.how, replace(sweep.still(case), upsampler="", mode=""))
        groups.setdefault(key, {}).setdefault(sweep.size(case), one)
    return {key: [found[size] for size in sorted(found)] for key, found in groups.items()}


def _told_apart(sweep: Sweep, groups: Sequence[Sequence[Scene]]) -> list[str]:
    """What tells one sweep's pictures from another's in a file's name: the parts in which they differ."""
    parts = [_parts(sweep, group[0]) for group in groups]
    differ = [name for name in (parts[0] if parts else {}) if len({one[name] for one in parts}) > 1]
    return ["-".join(_as_name(one[name]) for name in differ if one[name]) for one in parts]


def _parts(sweep: Sweep, scene: Scene) -> dict[str, str]:
    named = asdict(sweep.still(scene.condition.case))
    case = {name: f"{value}" for name, value in named.items() if name not in ("upsampler", "mode")}
    letters = {"batch": "b", "channels": "c", "height": "h", "width": "w", "scale": "x"}
    return {"label": scene.label} | {name: f"{letters.get(name, '')}{value}" for name, value in case.items()}


def _as_name(part: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-+." else "-" for letter in part)


def _curves(sweep: Sweep, group: Sequence[Scene], metric: str, slug: str) -> Curves | None:
    info = next((found for one in group if (found := one.first((metric,)))), None)
    if info is None:
        return None
    names = dict.fromkeys(line.name for one in group for line in one.condition.lines)
    curves = tuple(one for name in names if (one := _curve(sweep, group, info, name)).points)
    if not curves or len({point[0] for one in curves for point in one.points}) < FEWEST:
        return None
    sizes = tuple((sweep.size(one.condition.case), sweep.tick(sweep.size(one.condition.case))) for one in group)
    title = f"{info.title} against {sweep.slug} on {group[0].device}"
    caption = " ".join(_caption(sweep, group, info, names))
    axis = f"{sweep.axis} (log scale)"
    return Curves(title, _words(sweep, group[0]), axis, unit_and_scale(info, True), curves, caption, slug, sizes=sizes)


def _curve(sweep: Sweep, group: Sequence[Scene], info: MetricInfo, name: str) -> Curve:
    found = [(sweep.size(one.condition.case), estimate(one.condition.line(name), info)) for one in group]
    points = tuple(
        (x, y.value, *((y.low, y.high) if y.is_bounded and y.low > 0 else (y.value, y.value)))
        for x, y in found
        if y and y.value > 0
    )
    return Curve(name, points, slope(points))


def _words(sweep: Sweep, scene: Scene) -> str:
    """The condition in words, the swept size as a letter."""
    case, condition = scene.condition.case, scene.condition
    if case.model:
        return condition.words.replace(f"{case.height}×{case.width} images", "H×W images", 1)
    shape = [case.batch, case.channels, case.height, case.width]
    said = "×".join(str(one) for one in shape)
    swept = [shape[0], "C", *shape[2:]] if sweep is CHANNELS else [*shape[:2], "H", "W"]
    return condition.words.replace(said, "×".join(str(one) for one in swept), 1)


def _caption(sweep: Sweep, group: Sequence[Scene], info: MetricInfo, names: Mapping[str, None]) -> Iterator[str]:
    what = "pixels" if sweep is SIZE else "channels"
    yield f"Behind each name: the slope by least squares; 1 is proportional to the {what}."
    if not info.exact:
        yield "Whiskers: 95 % interval of the median."
    lost = [said for name in names if (said := _lost(sweep, group, info, name))]
    if lost:
        yield f"Not measured: {'; '.join(lost)}."


def _lost(sweep: Sweep, group: Sequence[Scene], info: MetricInfo, name: str) -> str:
    """Where an operator has no number, and why: one status for sizes that share it."""
    at: dict[str, list[str]] = {}
    for one in group:
        line = one.condition.line(name)
        if not estimate(line, info):
            why = (line.why_not(info) if line else "not asked for") or "no reading"
            at.setdefault(why, []).append(sweep.tick(sweep.size(one.condition.case)))
    said = [f"{why} at {', '.join(sizes)}" for why, sizes in at.items()]
    return f"{name} ({'; '.join(said)})" if said else ""
