"""Time of one forward."""

from __future__ import annotations

from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Call, Timings
from upsampler_bench.metrics import _timed
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload

INFOS = _timed.infos("latency", "Latency", INFERENCE, "one forward under inference mode", 10)


def call(workload: Workload) -> Call:
    """One forward."""
    return workload.forward


def readings(rounds: tuple[Timings, ...], facts: _timed.Facts, method: str) -> tuple[Reading, ...]:
    """Device time, and on a GPU wall time and host gap."""
    return _timed.readings(INFOS, rounds, facts, method)
