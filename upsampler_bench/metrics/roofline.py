"""Roofline time: the least time that any implementation of one forward takes on this device.

An operator must read every input (the guide included) and every parameter once, and write its output once; and it must
do the multiply-adds of its formula (the count `mac`). Each is divided by a rate measured in the same process. The
longer of the two times is the roofline time, since memory traffic and arithmetic may overlap completely.

Additions, divisions, exponentials and intermediate results are not counted. An implementation can still be faster if a
cache keeps a small feature from call to call, or if it needs fewer products than the formula has (interpolating one
direction after the other, or a Winograd convolution that the measured rate does not use).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace

from torch import Tensor

from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Device, rates
from upsampler_bench.metrics import OPERATOR, flops
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

BYTES, MACS = "bytes", "multiply-adds"
CONTRADICTED = (
    "doubtful: an operator took less than its roofline time, so the rate of {} was measured too low (busy cores?), "
    "unless a cache or fewer products explain it"
)
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
    facts = {"bytes": float(minimum_traffic(workload)), "macs": float(counts.by_convention["mac"])}
    uncounted = {"uncounted": ", ".join(counts.unknown)} if counts.unknown else {}
    method = f"minimum traffic and multiply-adds at the rates of this run ({device.timing_method(captured=False)})"
    reading = Reading(INFO.name, (), method, facts={**facts, **uncounted})
    return (_at(rates.measured(device, workload.inputs[0].dtype), reading),)


def _at(rate: rates.Rates, reading: Reading) -> Reading:
    """The reading at other rates."""
    moving, multiplying = float(reading.facts["bytes"]) / rate.copying, float(reading.facts["macs"]) / rate.multiplying
    facts = {**reading.facts, **asdict(rate), "binds": BYTES if moving >= multiplying else MACS}
    return replace(reading, rounds=((max(moving, multiplying),),), facts=facts)


def recheck(
    readings: Mapping[str, Reading], seconds: Mapping[str, float], workload: Workload, device: Device
) -> dict[str, Reading]:
    """The readings once the operators were timed: if one took less than its roofline time, at rates measured again.

    If one still does, all that the same rate bounds are marked, since theirs is as doubtful.

    Args:
        readings: of one process, by case.
        seconds: of one forward, by case.
        workload: any of the cases'.
        device: that both were measured on.
    """
    if not _contradicted(readings, seconds):
        return dict(readings)
    rate = rates.measured_again(device, workload.inputs[0].dtype)
    readings = {key: _at(rate, reading) for key, reading in readings.items()}
    doubtful = _contradicted(readings, seconds)
    return {
        key: replace(reading, notes=(*reading.notes, CONTRADICTED.format(reading.facts["binds"])))
        if reading.facts["binds"] in doubtful
        else reading
        for key, reading in readings.items()
    }


def _contradicted(readings: Mapping[str, Reading], seconds: Mapping[str, float]) -> set[float | str]:
    """What binds the operators that took less than their roofline time."""
    return {
        readings[key].facts["binds"] for key in readings if key in seconds and seconds[key] < readings[key].samples[0]
    }


def minimum_traffic(workload: Workload) -> int:
    """Bytes of inputs, parameters and output together."""
    output = workload.case.scale**2 * _size(workload.inputs[:1])
    return _size((*workload.inputs, *workload.module.parameters())) + output


def _size(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
