"""Where the time of one training step goes, operation by operation."""

from __future__ import annotations

from upsampler_bench.case import TRAIN
from upsampler_bench.device import Device
from upsampler_bench.metrics import _recording
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload

INFOS = (_recording.info("train_profile", "Profile, train", TRAIN, "one training step", 33),)
ON_REQUEST = True
CALLS = _recording.CALLS
applies = _recording.applies


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Records some steps; their parts add up to the reading."""
    return (_recording.reading(INFOS[0].name, workload, device),)
