# torch-free
"""Which mIoU operators are chosen by: measured on shapes where a run has it, else published."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from upsampler_bench.case import SHAPES
from upsampler_bench.errors import PlanError
from upsampler_bench.paper import ours
from upsampler_bench.quality.tasks import by_seed
from upsampler_bench.results import Run

PUBLISHED = "published"
SOURCES = (SHAPES, PUBLISHED)
# In a sentence after the number, and before "mIoU".
PHRASES = {
    SHAPES: ("mIoU on shapes as measured", "measured"),
    PUBLISHED: ("mIoU as published (SegFormer-B1 on ADE20K, Table 4)", "published"),
}


def mious(runs: Sequence[Run], source: str = "") -> tuple[str, dict[str, float]]:
    """Where the mIoUs are from, and these in per cent by operator; of none of which a training failed.

    Args:
        runs: of any kind.
        source: one of SOURCES; empty: measured where one of the runs has it, else published.

    Raises:
        PlanError: those measured were asked for, and no run has them.
    """
    measured = {
        measurement.case.upsampler: 100 * fmean(values)
        for run in runs
        for measurement in run.measurements
        if (values := by_seed(measurement.trainings, SHAPES, "miou").values())
        and not any(one.failure for one in measurement.trainings if one.task == SHAPES)
    }
    if source == SHAPES and not measured:
        raise PlanError("no stored run has scores on shapes; 'upsampler-bench quality' measures them")
    if measured and source != PUBLISHED:
        return SHAPES, measured
    return PUBLISHED, ours.mious(runs)
