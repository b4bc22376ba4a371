"""How often one forward allocates memory."""

from __future__ import annotations

from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Device
from upsampler_bench.metrics import memory
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

INFO = MetricInfo(
    "allocations",
    "Allocations",
    "1",
    INFERENCE,
    exact=True,
    place=23,
    description="How often one forward allocates memory, however long it is needed.",
)
INFOS = (INFO,)
ON_REQUEST = True
applies = memory.applies


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Runs one forward."""
    return (reading(INFO, workload, device),)


def reading(info: MetricInfo, workload: Workload, device: Device) -> Reading:
    """The allocations of the workload's step."""
    peak = device.peak(workload.step_for_memory)
    return Reading(info.name, ((peak.allocations,),), peak.method.removesuffix("'s peak"), memory.notes(workload))
