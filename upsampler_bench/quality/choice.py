# torch-free
"""Which mIoU operators are chosen by: measured on shapes where a run has it of enough seeds, else published."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from upsampler_bench.case import SHAPES
from upsampler_bench.errors import PlanError
from upsampler_bench.paper import ours
from upsampler_bench.quality.tasks import by_seed
from upsampler_bench.results import Run

PUBLISHED = "published"
SOURCES = (SHAPES, PUBLISHED)
# Fewer order operators by chance: they count only on request.
FEWEST_SEEDS = 3
# In a sentence after the number, and before "mIoU".
PHRASES = {
    SHAPES: ("mIoU on shapes as measured", "measured"),
    PUBLISHED: ("mIoU as published (SegFormer-B1 on ADE20K, Table 4)", "published"),
}


def mious(runs: Sequence[Run], source: str = "") -> tuple[str, dict[str, float]]:
    """Where the mIoUs are from, and these in per cent by operator; of none of which a training failed.

    Args:
        runs: of any kind.
        source: one of SOURCES; empty: measured where one of the runs has it of FEWEST_SEEDS, else published.

    Raises:
        PlanError: those measured were asked for, and no run has them.
    """
    found = {name: miou for run in runs for name, miou in measured(run, source).items()}
    if source == SHAPES and not found:
        raise PlanError("no stored run has scores on shapes; 'upsampler-bench quality' measures them")
    return (SHAPES, found) if found else (PUBLISHED, ours.mious(runs))


def measured(run: Run, source: str = "") -> dict[str, float]:
    """The mIoUs on shapes, in per cent, by which this source lets operators be chosen; see `mious`."""
    fewest = {PUBLISHED: math.inf, SHAPES: 1}.get(source, FEWEST_SEEDS)
    return {
        measurement.case.upsampler: 100 * fmean(values)
        for measurement in run.measurements
        if len(values := by_seed(measurement.trainings, SHAPES, "miou").values()) >= fewest
        and not any(one.failure for one in measurement.trainings if one.task == SHAPES)
    }
