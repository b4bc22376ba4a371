"""How often one forward and backward allocate memory."""

from __future__ import annotations

from upsampler_bench.case import TRAIN
from upsampler_bench.device import Device
from upsampler_bench.metrics import allocations
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

INFO = MetricInfo(
    "train_allocations",
    "Training allocations",
    "1",
    TRAIN,
    exact=True,
    place=41,
    description="How often one forward and backward (in a model a training step) allocate memory, however long it is "
    "needed.",
)
INFOS = (INFO,)
ON_REQUEST = True


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Runs one forward and backward."""
    return (allocations.reading(INFO, workload, device),)
