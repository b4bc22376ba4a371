"""Latency against memory: which operators no other beats in both.

Of the training step where all operators need the same memory for a forward, as in a model whose peak is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from upsampler_bench.report.lines import Condition
from upsampler_bench.report.pictures import Plane, Point, Polyline
from upsampler_bench.report.pictures._numbers import PARAMS, axis, estimate, interval, missing, subtitle
from upsampler_bench.results import MetricInfo

PLACE = 2
COSTS = (("latency", "inference_memory"), ("train_latency", "train_memory"))


def pictures(conditions: Sequence[Condition]) -> Iterator[Plane]:
    """One plane for each condition under which at least two operators have both costs."""
    for condition in conditions:
        planes = [made for names in COSTS if (made := plane(condition, "pareto", "Speed and memory", *names))]
        differing = [made for made in planes if len({point.y for point in made.points}) > 1]
        yield from (differing or planes)[:1]


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats (as low in both, and lower in one), by x, then y, then name."""
    kept = [point for point in points if not any(_beats(other, point) for other in points)]
    return sorted(kept, key=lambda point: (point.x, point.y, point.name))


def _beats(point: Point, other: Point) -> bool:
    return point.x <= other.x and point.y <= other.y and (point.x, point.y) != (other.x, other.y)


def plane(condition: Condition, name: str, title: str, speed_name: str, cost_name: str) -> Plane | None:
    """Two costs of each operator and their Pareto front; None if fewer than two operators have both.

    Args:
        condition: its lines are the operators.
        name, title: of the picture.
        speed_name, cost_name: the metrics of the two axes.
    """
    speed, cost = condition.first((speed_name,)), condition.first((cost_name,))
    points = []
    for line in condition.lines:
        x, y = estimate(line, speed), estimate(line, cost)
        if x and y:
            points.append(Point(line.name, x.value, y.value, line.name, x_interval=interval(x)))
    if speed is None or cost is None or len(points) < 2:
        return None
    best, learned = front(points), front([point for point in points if _has_parameters(condition, point.name)])
    lines = [Polyline(tuple((point.x, point.y) for point in best), steps=True)]
    if learned and learned != best:
        lines.append(Polyline(tuple((point.x, point.y) for point in learned), dashed=True, steps=True))
    return Plane(
        name=name,
        title=f"{title} on {condition.device}",
        subtitle=subtitle(condition),
        x=axis(speed, [point.x for point in points]),
        y=axis(cost, [point.y for point in points]),
        points=tuple(replace(point, bold=point in best) for point in points),
        lines=tuple(lines),
        caption=" ".join(_caption(condition, (speed, cost), points, best, learned)),
        slug=condition.slug,
    )


def _has_parameters(condition: Condition, name: str) -> bool:
    """Whether an operator has parameters; in a model, more than the baseline."""
    weights = condition.first(PARAMS[::-1])
    number = estimate(condition.line(name), weights)
    base = estimate(condition.baseline, weights) if condition.case.model else None
    return number is not None and number.value > (base.value if base else 0.0)


def _caption(
    condition: Condition,
    infos: Sequence[MetricInfo],
    points: Sequence[Point],
    best: Sequence[Point],
    learned: Sequence[Point],
) -> Iterator[str]:
    names = ", ".join(point.name for point in best)
    yield f"Solid line and bold: Pareto front, the operators that no other beats in both: {names}."
    if learned and learned != best:
        what = f"add parameters to {condition.run.settings.baseline}" if condition.case.model else "have parameters"
        start = "Dashed: the front" if len(learned) > 1 else "The front"
        yield f"{start} of the operators that {what}: {', '.join(point.name for point in learned)}."
    yield from missing(condition, infos, {point.name for point in points})
