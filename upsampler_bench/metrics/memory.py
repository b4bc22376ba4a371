"""Peak memory of one forward."""

from __future__ import annotations

from upsampler_bench import backends
from upsampler_bench.case import INFERENCE, Case
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
    once=True,
    place=99,
    description="Bytes that the allocator took from the driver during one forward.",
)
INFOS = (PEAK, RESERVED)


def applies(case: Case) -> bool:
    """Within torch: what an engine allocates, it does not tell."""
    return not backends.is_engine(case.backend)


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Runs one forward."""
    memory = device.peak(workload.step_for_memory)
    peak = Reading(PEAK.name, ((memory.peak,),), memory.method, notes(workload))
    if memory.reserved is None:
        return (peak,)
    return peak, Reading(RESERVED.name, ((memory.reserved,),), "CUDA allocator's reserved bytes")


def notes(workload: Workload) -> tuple[str, ...]:
    """A note if what is measured is not what is timed."""
    if not workload.is_eager and workload.case.device == "cpu":
        return ("memory of the eager form: buffers of compiled code cannot be counted on a CPU",)
    return ()
