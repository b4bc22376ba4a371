"""Peak memory of one forward."""

from __future__ import annotations

from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Device
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

WHAT = "Peak bytes allocated during one forward beyond parameters and inputs, the output included."
PEAK = MetricInfo("inference_memory", "Inference memory", "B", INFERENCE, exact=True, place=20, description=WHAT)
RESERVED = MetricInfo(
    "reserved_memory",
    "Reserved memory",
    "B",
    INFERENCE,
    place=99,
    description="Bytes taken from the driver for it.",
)
INFOS = (PEAK, RESERVED)


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Runs one forward."""
    found = device.peak(workload.step_for_memory)
    peak = Reading(PEAK.name, ((found.peak,),), found.method, notes(workload))
    if found.reserved is None:
        return (peak,)
    return peak, Reading(RESERVED.name, ((found.reserved,),), "CUDA allocator's reserved bytes")


def notes(workload: Workload) -> tuple[str, ...]:
    """What a reader of a memory figure must know."""
    eager = workload.is_compiled and workload.case.device == "cpu"
    return ("memory is that of the eager form: compiled buffers cannot be seen",) if eager else ()
