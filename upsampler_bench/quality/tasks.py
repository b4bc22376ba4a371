# torch-free
"""What the trained measurements score, for tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from upsampler_bench.case import RECONSTRUCTION, SHAPES
from upsampler_bench.results import COMPLETE, Run, Training


@dataclass(frozen=True, slots=True)
class Score:
    """One number that a trained network gets.

    Attributes:
        unit: "share" (shown in per cent), "px" (of the image), "dB" or "1".
        digits: after the point.
    """

    name: str
    title: str
    unit: str
    digits: int
    description: str
    lower_is_better: bool = False


# The first score of a task is what operators are ranked by.
SCORES = {
    SHAPES: (
        Score("miou", "mIoU", "share", 1, "intersection over union, mean over the five classes"),
        Score("boundary_iou_1", "Boundary IoU, 1 px", "share", 1, "IoU of the inner bands of 1 px of each class, mean"),
        Score("boundary_iou_2", "Boundary IoU, 2 px", "share", 1, "IoU of the inner bands of 2 px of each class, mean"),
        Score("thin_iou", "Thin IoU", "share", 1, "intersection over union of the class of bars of 1.8 px"),
        Score("edges_found", "Edges found", "share", 1, "true edges that are predicted within 4 px"),
        Score("edge_displacement", "Edge displacement", "px", 2, "mean distance of these to the predicted ones", True),
    ),
    RECONSTRUCTION: (
        Score("psnr", "PSNR", "dB", 2, "peak signal-to-noise ratio, mean over images"),
        Score("ssim", "SSIM", "1", 4, "structural similarity, mean over images"),
        Score("mae", "MAE", "1", 4, "mean absolute error, of values from 0 to 1", True),
        Score("rmse", "RMSE", "1", 4, "root of the mean squared error, of values from 0 to 1", True),
    ),
}
TITLES = {SHAPES: "Shapes", RECONSTRUCTION: "Reconstruction"}


def by_seed(trainings: Sequence[Training], task: str, score: str) -> dict[int, float]:
    """An operator's score by seed, of the trainings that did not fail."""
    return {
        one.seed: one.scores[score] for one in trainings if one.task == task and not one.failure and score in one.scores
    }


def is_ranking(run: Run) -> bool:
    """Whether a run's trainings are there to rank operators by: those of plan "quality", all of them."""
    is_trained = any(measurement.trainings for measurement in run.measurements)
    return is_trained and run.ended == COMPLETE and run.plan.get("name") == "quality"
