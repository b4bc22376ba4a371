"""Time that the host needs to submit one training step to an idle GPU."""

from __future__ import annotations

from functools import partial

from upsampler_bench.case import TRAIN
from upsampler_bench.metrics import _timed
from upsampler_bench.results import MetricInfo

INFO = MetricInfo(
    "train_launch",
    "Training time, launch",
    "s",
    TRAIN,
    place=32,
    description="Median time on the host's clock until one training step has been submitted to an idle GPU.",
)
INFOS = (INFO,)
DEVICE = "cuda"
readings = partial(_timed.launch_time, INFO.name)
