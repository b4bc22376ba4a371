"""Peak memory of one forward and backward, and what is saved between them."""

from __future__ import annotations

from upsampler_bench.case import TRAIN
from upsampler_bench.device import Device
from upsampler_bench.metrics.memory import notes
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

PEAK = MetricInfo(
    "train_memory",
    "Training memory",
    "B",
    TRAIN,
    exact=True,
    place=40,
    description="Peak bytes over forward and backward (in a model over a training step) beyond parameters, optimiser "
    "state and inputs; output and all gradients included.",
)
SAVED = MetricInfo(
    "saved_memory",
    "Saved for backward",
    "B",
    TRAIN,
    exact=True,
    place=98,
    description="Bytes alive after the forward, the output included.",
)
INFOS = (PEAK, SAVED)


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Runs one forward and backward."""
    memory = device.peak(workload.step_for_memory)
    return (
        Reading(PEAK.name, ((memory.peak,),), memory.method, notes(workload)),
        Reading(SAVED.name, ((memory.marked,),), memory.method, notes(workload)),
    )
