"""Time of one forward and backward."""

from __future__ import annotations

from upsampler_bench.case import TRAIN
from upsampler_bench.device import Call, Timings
from upsampler_bench.metrics import _timed
from upsampler_bench.results import Reading
from upsampler_bench.workload import Workload

INFOS = _timed.infos("train_latency", "Training time", TRAIN, "one forward and backward of the operator", 30)


def call(workload: Workload) -> Call:
    """One forward and backward; the gradient of the output is given."""
    return workload.train_step


def readings(rounds: tuple[Timings, ...], facts: _timed.Facts, method: str) -> tuple[Reading, ...]:
    """Device time, and on a GPU wall time and host gap."""
    return _timed.readings(INFOS, rounds, facts, method)
