"""Time of one forward and backward."""

from __future__ import annotations

from functools import partial

from upsampler_bench.case import TRAIN
from upsampler_bench.device import Call
from upsampler_bench.metrics import _timed
from upsampler_bench.workloads.workload import Workload

WHAT = "one forward and backward, in a model with its loss (cross-entropy on random labels) and a step of AdamW"
INFOS = _timed.infos("train_latency", "Training time", TRAIN, WHAT, 30)
readings = partial(_timed.readings, INFOS)


def call(workload: Workload) -> Call:
    """One forward and backward; of a bare operator the gradient of the output is given."""
    return workload.train_step
