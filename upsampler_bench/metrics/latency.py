"""Time of one forward."""

from __future__ import annotations

from functools import partial

from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Call
from upsampler_bench.metrics import _timed
from upsampler_bench.workloads.workload import Workload

INFOS = _timed.infos("latency", "Latency", INFERENCE, "one forward under inference mode", 10)
readings = partial(_timed.readings, INFOS)


def call(workload: Workload) -> Call:
    """One forward."""
    return workload.forward
