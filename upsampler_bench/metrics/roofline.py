"""Roofline time: the least time that any implementation of one forward takes on this device.

An operator must read every input (the guide included) and every parameter once, and write its output once; and it must
do the multiply-adds of its formula (the count `mac`). Each is divided by a rate measured in the same process. The
longer of the two times is the roofline time, since memory traffic and arithmetic may overlap completely.

Additions, divisions, exponentials and intermediate results are not counted. An implementation can still be faster if a
cache keeps a small feature from call to call, or if it needs fewer products than the formula has (interpolating one
direction after the other, or a Winograd convolution that the measured rate does not use).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from torch import Tensor

from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Device, rates
from upsampler_bench.metrics import OPERATOR, flops
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

BYTES, MACS = "bytes", "multiply-adds"
INFO = MetricInfo(
    "roofline_time",
    "Roofline time",
    "s",
    INFERENCE,
    bounds="latency",
    place=11,
    description="Least time of one forward: inputs and parameters read once and the output written once at the rate of "
    "a large copy, or the multiply-adds (mac) at the rate of large products, whichever takes longer.",
)
INFOS = (INFO,)
SUBJECT = OPERATOR


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Counts the least work, and measures the device's rates once per process."""
    counts = flops.of(workload)
    moved, macs = minimum_traffic(workload), counts.by_convention["mac"]
    rate = rates.measured(device, workload.inputs[0].dtype)
    moving, multiplying = moved / rate.copying, macs / rate.multiplying
    facts: dict[str, float | str] = {
        "bytes": float(moved),
        "macs": float(macs),
        **asdict(rate),
        "seconds_moving": moving,
        "seconds_multiplying": multiplying,
        "binds": BYTES if moving >= multiplying else MACS,
    }
    if counts.unknown:
        facts["uncounted"] = ", ".join(counts.unknown)
    method = f"minimum traffic and multiply-adds at the rates of this run ({device.timing_method()})"
    return (Reading(INFO.name, ((max(moving, multiplying),),), method, facts=facts),)


def minimum_traffic(workload: Workload) -> int:
    """Bytes of inputs, parameters and output together."""
    output = workload.case.scale**2 * _size(workload.inputs[:1])
    return _size((*workload.inputs, *workload.module.parameters())) + output


def _size(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
