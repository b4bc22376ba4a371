"""Time of one training step on the device."""

from __future__ import annotations

from functools import partial

from upsampler_bench.case import TRAIN
from upsampler_bench.metrics import _timed
from upsampler_bench.results import MetricInfo

INFO = MetricInfo(
    "train_latency",
    "Training time",
    "s",
    TRAIN,
    relative=True,
    place=30,
    description="Median time of one forward and backward, in a model with its loss (cross-entropy on random labels) "
    "and a step of AdamW; on a GPU device time, with launches hidden.",
)
INFOS = (INFO,)
readings = partial(_timed.device_time, INFO.name)
