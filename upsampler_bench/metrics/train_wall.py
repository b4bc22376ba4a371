"""Time that a user of one training step waits: from an idle GPU until it is idle again."""

from __future__ import annotations

from functools import partial

from upsampler_bench.case import TRAIN
from upsampler_bench.metrics import _timed
from upsampler_bench.results import MetricInfo

INFO = MetricInfo(
    "train_wall",
    "Training time, wall",
    "s",
    TRAIN,
    place=31,
    description="Median time of one training step on the host's clock, from an idle GPU until it is idle again.",
)
INFOS = (INFO,)
DEVICE = "cuda"
readings = partial(_timed.wall_time, INFO.name)
