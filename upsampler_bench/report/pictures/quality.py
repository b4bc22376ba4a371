"""Measured quality against measured latency: which operators no other beats in both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from upsampler_bench import units
from upsampler_bench.case import QUALITY
from upsampler_bench.paper import published
from upsampler_bench.quality.statistics import paired_difference
from upsampler_bench.quality.tasks import SCORES, TITLES
from upsampler_bench.report.lines import Condition, conditions
from upsampler_bench.report.pictures import Axis, Plane, Point, Polyline
from upsampler_bench.report.pictures._numbers import interval, needs_log, quality_slug
from upsampler_bench.report.pictures.bubble import SHAPE
from upsampler_bench.report.pictures.pareto import front
from upsampler_bench.report.quality import Ranked, ranked
from upsampler_bench.results import Run

PLACE, OF = 19, "both"


def pictures(given: Sequence[Condition]) -> Iterator[Plane]:
    """One plane for each run of quality, device and task, of the first condition with latencies on a device."""
    timed = [condition for condition in given if _is_timed(condition)]
    for of_quality in [condition for condition in given if condition.case.mode == QUALITY]:
        devices: dict[str, Condition] = {}
        for condition in timed:
            devices.setdefault(condition.device, condition)
        for condition in devices.values():
            for task in SCORES:
                plane = _plane(condition, of_quality, task)
                if plane:
                    where = condition.run.environment.slug
                    yield plane if len(devices) == 1 else replace(plane, slug=f"{plane.slug}-{where}")


def has_latency(run: Run) -> bool:
    """Whether a run has what the picture needs of costs."""
    return any(map(_is_timed, conditions(run)))


def _is_timed(condition: Condition) -> bool:
    """Whether a condition has latencies at the paper's shape, of operators alone."""
    case = condition.case
    shape = (case.batch, case.channels, case.height, case.width, case.scale)
    return shape == SHAPE and not case.model and condition.first(("latency",)) is not None


def _plane(timed: Condition, of_quality: Condition, task: str) -> Plane | None:
    baseline = of_quality.run.settings.baseline
    everyone = {one.line.operator: one for one in ranked(of_quality, task)}
    points = [point for name in everyone if (point := _point(timed, everyone, name, baseline, task))]
    if len(points) < 2:
        return None
    guided = {info.name for info in of_quality.run.upsamplers if info.needs_guide}
    # One seed has no interval and ranks nothing.
    ranks = any(point.y_interval for point in points)
    best = _front(points) if ranks else []
    unguided = _front([point for point in points if point.name not in guided]) if ranks else []
    names = [*everyone, *(line.operator for line in timed.lines)]
    lines = [Polyline(tuple((point.x, point.y) for point in best), steps=True)] if best else []
    if unguided and unguided != best:
        lines.append(Polyline(tuple((point.x, point.y) for point in unguided), dashed=True, steps=True))
    small = _published(points, baseline) if task == "shapes" else []
    first = SCORES[task][0]
    return Plane(
        name="quality",
        title=f"Quality against latency, both measured: {TITLES[task].lower()}",
        subtitle=f"latency on {timed.device}: {timed.words}",
        x=Axis(f"Latency relative to {baseline}", "×", needs_log([point.x for point in points])),
        y=Axis(f"{first.title} above {baseline}", units.unit(first.unit).name),
        points=(*(replace(point, bold=point in best) for point in points), *small),
        lines=tuple(lines),
        fills=("measured here", "published mIoU, SegFormer-B1 on ADE20K") if small else None,
        caption=" ".join(_caption(points, best, unguided, names, bool(small))),
        slug=quality_slug(of_quality, task),
    )


def _point(timed: Condition, everyone: dict[str, Ranked], name: str, baseline: str, task: str) -> Point | None:
    first, base = SCORES[task][0], everyone.get(baseline)
    ours, theirs = timed.operator(name), timed.operator(baseline)
    if ours is None or theirs is None or base is None:
        return None
    # Of an operator's measurements that of inference, which has the latency, comes first.
    ratio = timed.run.ratio(ours.measurements[0].case, "latency", theirs.measurements[0].case)
    found = paired_difference(everyone[name].scores[first.name], base.scores[first.name])
    if ratio is None or found is None:
        return None
    size = units.unit(first.unit).size
    value, half = found.value / size, found.half_width
    ends = (value - half / size, value + half / size) if half else None
    return Point(name, ratio.value, value, name, x_interval=interval(ratio), y_interval=ends)


def _front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats: as fast and as good, and better in one."""
    upside_down = {replace(point, y=-point.y): point for point in points}
    return [upside_down[point] for point in front(list(upside_down))]


def _published(points: Sequence[Point], baseline: str) -> list[Point]:
    """The published mIoU of the same operators, above that of the baseline, at their measured latency."""
    known = {name: float(row["miou"]) for name, row in published.segformer_b1_ade20k().items()}
    if baseline not in known:
        return []
    return [
        Point(
            point.name,
            point.x,
            known[point.name] - known[baseline],
            hollow=True,
            small=True,
            note="published mIoU",
        )
        for point in points
        if point.name in known
    ]


def _caption(
    points: Sequence[Point], best: Sequence[Point], unguided: Sequence[Point], everyone: Sequence[str], small: bool
) -> Iterator[str]:
    if best:
        yield f"Solid line and bold: Pareto front: {', '.join(point.name for point in best)}."
    else:
        yield "One seed: quality has no interval, and no Pareto front is drawn."
    if unguided and list(unguided) != list(best):
        yield f"Dashed: that of the operators without a guide: {', '.join(point.name for point in unguided)}."
    if any(point.y_interval for point in points):
        yield "Error bars: 95 % intervals, of quality by Student's t over seeds."
    if small:
        yield "Published values are of another task and network: compare their order, not their size."
    missing = [name for name in dict.fromkeys(everyone) if name not in {point.name for point in points}]
    if missing:
        yield f"Without a latency or a score: {', '.join(missing)}."
