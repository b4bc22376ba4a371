"""Time of one training step: on the device, and on a GPU what its user waits, and what its launch takes the host."""

from __future__ import annotations

from functools import partial

from upsampler_bench.case import TRAIN
from upsampler_bench.metrics import _timed
from upsampler_bench.results import MetricInfo

INFOS = (
    MetricInfo(
        "train_latency",
        "Training time",
        "s",
        TRAIN,
        relative=True,
        place=30,
        description="Median time of one forward and backward, in a model with its loss (cross-entropy on random "
        "labels) and a step of AdamW; on a GPU device time, with launches hidden.",
    ),
    MetricInfo(
        "train_wall",
        "Training time, wall",
        "s",
        TRAIN,
        place=31,
        description="Median time of one training step on the host's clock, from an idle GPU until it is idle again.",
    ),
    MetricInfo(
        "train_launch",
        "Training time, launch",
        "s",
        TRAIN,
        place=32,
        description="Median time on the host's clock until one training step has been submitted to an idle GPU.",
    ),
)
readings = partial(_timed.readings, INFOS)
