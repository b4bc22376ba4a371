"""The floor of one forward: the least time that any implementation takes on this device.

An operator must read every input (a guide included) and every parameter once, and write its output once; and it must
do the multiply-adds of its formula (the count `mac`). Each is turned into a time by a rate measured in the same
process, and the longer of the two is the floor: moving and multiplying could overlap wholly.

What it leaves out, it leaves out in the operator's favour: additions, divisions, exponentials, intermediate results.
What could go below it: a cache that holds a small feature from call to call, and fewer products than the formula has,
as by interpolating one direction after the other, or by a Winograd convolution as far as the convolution that the rate
is taken from does without.
"""

from __future__ import annotations

from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Device
from upsampler_bench.metrics import _least, flops
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workload import Workload

INFO = MetricInfo(
    "floor",
    "Floor",
    "s",
    INFERENCE,
    bounds="latency",
    place=11,
    description="Least time of one forward: inputs and parameters read once and the output written once at the rate of "
    "a large copy, or the multiply-adds (mac) at the rate of large products, whichever takes longer.",
)
INFOS = (INFO,)
KINDS = ("operator",)


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Counts the least work, and measures the device's rates where this process has not yet."""
    return (_least.reading(INFO, least(workload), workload.inputs[0].dtype, device),)


def least(workload: Workload) -> _least.Least:
    """The least work of one forward."""
    found = flops.of(workload)
    return _least.Least(least_bytes(workload), found.by_convention["mac"], found.unknown)


def least_bytes(workload: Workload) -> int:
    """Bytes of inputs, parameters and output."""
    read = _least.size((*workload.inputs, *workload.module.parameters()))
    return read + _least.output_size(workload)
