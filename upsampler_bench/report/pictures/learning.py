"""How the loss of networks with each operator falls while they are trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from statistics import fmean

from upsampler_bench.quality.tasks import SCORES, TITLES
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.pictures import Axis, Plane, Point, Polyline
from upsampler_bench.report.pictures._numbers import quality_slug

PLACE, OF = 23, "quality"
# Of a curve; each is the mean over as many steps.
POINTS = 40


def pictures(conditions: Sequence[Condition]) -> Iterator[Plane]:
    """One plane for each task of a run."""
    for condition in conditions:
        for task in SCORES:
            curves = {line.name: curve for line in condition.lines if len(curve := _curve(line, task)) > 1}
            if curves:
                yield _plane(condition, task, curves)


def _curve(line: Line, task: str) -> list[tuple[float, float]]:
    """Steps and losses, the mean over seeds, in blocks of steps."""
    trainings = [one for one in line.measurements[0].trainings if one.task == task and not one.failure]
    by_step = zip_longest(*(one.losses for one in trainings))
    losses = [fmean(loss for loss in step if loss is not None) for step in by_step]
    length = max(1, len(losses) // POINTS)
    blocks = [losses[start : start + length] for start in range(0, len(losses) - length + 1, length)]
    return [((number + 0.5) * length, fmean(block)) for number, block in enumerate(blocks)]


def _plane(condition: Condition, task: str, curves: dict[str, list[tuple[float, float]]]) -> Plane:
    # In the legend the operators stand in the order of the curves' ends.
    ordered = sorted(curves.items(), key=lambda item: -item[1][-1][1])
    length = round(2 * ordered[0][1][0][0])
    block = f", each point the mean of {length} steps" if length > 1 else ""
    return Plane(
        name="learning",
        title=f"{TITLES[task]}: loss while training",
        subtitle=f"{condition.run.settings.steps} steps, mean over seeds{block}",
        x=Axis("Step"),
        y=Axis("Loss", "cross-entropy" if task == "shapes" else "mean absolute error", log=True),
        points=tuple(Point(name, *curve[-1], small=True) for name, curve in ordered),
        lines=tuple(Polyline(tuple(curve), name, name) for name, curve in ordered),
        caption="Each operator sees the same batches in the same order. Failed trainings are left out.",
        slug=quality_slug(condition, task),
    )
