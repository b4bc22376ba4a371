"""The only room that knows a CPU from a GPU: clocks, memory and settings of the device that is measured on."""

from __future__ import annotations

import torch

from upsampler_bench.case import Settings
from upsampler_bench.device import processor
from upsampler_bench.device.cpu import Cpu
from upsampler_bench.device.cuda import Cuda
from upsampler_bench.device.types import LAUNCH_BOUND, OUT_OF_MEMORY_ERRORS, Call, Device, Peak, Step, Timings
from upsampler_bench.errors import DeviceError

__all__ = [
    "LAUNCH_BOUND",
    "OUT_OF_MEMORY_ERRORS",
    "Call",
    "Cpu",
    "Cuda",
    "Device",
    "Peak",
    "Step",
    "Timings",
    "create",
    "label",
    "resolve",
]


def resolve(name: str) -> str:
    """The device that a name means: "auto" is the first GPU where there is one, else the CPU.

    Raises:
        DeviceError: there is no such device here.
    """
    if name == "cpu":
        return name
    if name == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind != "cuda" or not (index.isdigit() or name == "cuda"):
        raise DeviceError(f"no device {name!r}; there are auto, cpu, cuda and cuda:i")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= found:
        raise DeviceError(f"device {name!r} asked for, but {found or 'no'} CUDA GPU is here; --device cpu works")
    return f"cuda:{index or 0}"


def label(name: str) -> str:
    """The name of a resolved device as its maker prints it."""
    return processor.name() if name == "cpu" else str(torch.cuda.get_device_name(name))


def create(name: str, settings: Settings) -> Device:
    """The device of a resolved name, prepared."""
    device: Device = Cpu() if name == "cpu" else Cuda(name)
    device.prepare(settings)
    return device
