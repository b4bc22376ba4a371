"""The device that is measured on: its clock, memory and settings; beside it only `backends` knows CUDA."""

from __future__ import annotations

import torch

from upsampler_bench.case import Settings
from upsampler_bench.device import processor
from upsampler_bench.device.cpu import Cpu
from upsampler_bench.device.cuda import Cuda
from upsampler_bench.device.energy import EnergyCounter
from upsampler_bench.device.placement import gpu_count
from upsampler_bench.device.types import OUT_OF_MEMORY_ERRORS, Call, Device, Peak, Step, Timings
from upsampler_bench.errors import DeviceError
from upsampler_bench.units import counted

__all__ = [
    "OUT_OF_MEMORY_ERRORS",
    "Call",
    "Cpu",
    "Cuda",
    "Device",
    "EnergyCounter",
    "Peak",
    "Step",
    "Timings",
    "create",
    "label",
    "resolve",
]


def resolve(name: str) -> str:
    """The device of a name: "auto" is the first GPU if there is one, else the CPU.

    Raises:
        DeviceError: there is no such device.
    """
    if name == "cpu":
        return name
    if name == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind != "cuda" or not (index.isdecimal() or name == "cuda"):
        raise DeviceError(f"no device {name!r}; expected auto, cpu, cuda or cuda:i")
    count = gpu_count()
    if int(index or 0) >= count:
        raise DeviceError(f"no device {name!r}: this machine has {counted(count, 'CUDA GPU')}; --device cpu works")
    return f"cuda:{index or 0}"


def label(name: str) -> str:
    """The name of a resolved device, or of one core such as "cpu:1", as its maker prints it."""
    return processor.name() if name.startswith("cpu") else str(torch.cuda.get_device_name(name))


def create(name: str, settings: Settings) -> Device:
    """The device of a resolved name, prepared."""
    device: Device = Cpu() if name == "cpu" else Cuda(name)
    device.prepare(settings)
    return device
