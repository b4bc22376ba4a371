"""Latency against memory: which operators no other beats in both.

Of the training step where all operators need the same memory for a forward, as in a model whose peak is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upsampler_bench.report.conditions import PARAMS, Scene, estimate, missing, squashed, unit_and_scale
from upsampler_bench.report.lines import Line
from upsampler_bench.report.pictures import Point, Scatter
from upsampler_bench.results import MetricInfo

COSTS = (("latency", "inference_memory"), ("train_latency", "train_memory"))


def pareto(scene: Scene) -> Scatter | None:
    """The plane of both costs, or None where fewer than two operators have both."""
    planes = [plane for names in COSTS if (plane := _plane(scene, *names))]
    telling = [one for one in planes if len({point.y for point in one[2]}) > 1]
    if not planes:
        return None
    speed, memory, points = (telling or planes)[0]
    log, y_log = squashed([one.x for one in points]), squashed([one.y for one in points])
    best, learned = front(points), _learned(scene, points)
    return Scatter(
        title=f"Speed and memory on {scene.device}",
        subtitle=scene.condition.words,
        x_axis=unit_and_scale(speed, log),
        y_axis=unit_and_scale(memory, y_log),
        size_title="",
        points=points,
        caption=" ".join(_caption(scene, (speed, memory), points, best, learned)),
        log=log,
        slug=scene.slug,
        y_log=y_log,
        front=best,
        learned=learned,
        name="pareto",
    )


def _plane(scene: Scene, speed: str, memory: str) -> tuple[MetricInfo, MetricInfo, tuple[Point, ...]] | None:
    """Two costs and the operators that have both, or None where there are fewer than two."""
    x, y = scene.first((speed,)), scene.first((memory,))
    if x is None or y is None:
        return None
    points = tuple(one for line in scene.condition.lines if (one := _point(line, x, y)))
    return (x, y, points) if len(points) > 1 else None


def front(points: Sequence[Point]) -> tuple[str, ...]:
    """The names of the points that no other beats: none is as low in both and lower in one; by x, then y."""
    kept = [one for one in points if not any(_beats(other, one) for other in points)]
    return tuple(one.name for one in sorted(kept, key=lambda one: (one.x, one.y, one.name)))


def _beats(one: Point, other: Point) -> bool:
    return one.x <= other.x and one.y <= other.y and (one.x, one.y) != (other.x, other.y)


def _point(line: Line, speed: MetricInfo, memory: MetricInfo) -> Point | None:
    x, y = estimate(line, speed), estimate(line, memory)
    if x is None or y is None:
        return None
    low, high = (x.low, x.high) if x.is_bounded else (x.value, x.value)
    return Point(line.name, x.value, y.value, 0.0, low, high)


def _learned(scene: Scene, points: Sequence[Point]) -> tuple[str, ...]:
    """The front of the operators that have parameters, in a model more than with the baseline, where it is another."""
    weights = scene.first(PARAMS[::-1])
    found = {line.name: estimate(line, weights) for line in scene.condition.lines}
    base = estimate(scene.baseline, weights) if scene.condition.case.model else None
    least = base.value if base else 0.0
    learning = [one for one in points if (own := found[one.name]) and own.value > least]
    inner = front(learning)
    return () if inner == front(points) else inner


def _caption(
    scene: Scene, infos: Sequence[MetricInfo], points: Sequence[Point], best: Sequence[str], learned: Sequence[str]
) -> Iterator[str]:
    yield f"Solid line and bold: Pareto front, which no operator beats in both: {', '.join(best)}."
    if learned:
        what = f"add parameters to {scene.run.settings.baseline}" if scene.condition.case.model else "have parameters"
        yield f"Dashed: the front of the operators that {what}: {', '.join(learned)}."
    yield from missing(scene.condition, infos, {one.name for one in points})
