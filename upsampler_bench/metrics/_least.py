"""The least work of an operator, as a time on this device: shared by the floors of the forward and of training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from upsampler_bench import rates
from upsampler_bench.device import Device
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workload import Workload

BYTES, MACS = "bytes", "multiply-adds"


@dataclass(frozen=True, slots=True)
class Least:
    """What no implementation can do without: bytes moved, multiply-adds; `uncounted` names what is not among these."""

    bytes: int
    macs: int
    uncounted: tuple[str, ...] = ()


def reading(info: MetricInfo, least: Least, dtype: torch.dtype, device: Device) -> Reading:
    """The longer of the two times that the least work takes at this device's rates, and how it came about."""
    rate = rates.measured(device, dtype)
    moving, multiplying = least.bytes / rate.copying, least.macs / rate.multiplying
    facts: dict[str, float | str] = {
        "bytes": float(least.bytes),
        "macs": float(least.macs),
        **asdict(rate),
        "seconds_moving": moving,
        "seconds_multiplying": multiplying,
        "binds": BYTES if moving >= multiplying else MACS,
    }
    facts |= {"uncounted": ", ".join(least.uncounted)} if least.uncounted else {}
    method = f"least bytes and multiply-adds at the rates of this run ({device.timing_method()})"
    return Reading(info.name, ((max(moving, multiplying),),), method, facts=facts)


def size(tensors: Iterable[Tensor]) -> int:
    """Bytes of these tensors together."""
    return sum(one.numel() * one.element_size() for one in tensors)


def output_size(workload: Workload) -> int:
    """Bytes of the output."""
    return workload.case.scale**2 * size(workload.inputs[:1])
