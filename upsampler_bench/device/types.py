"""What may be asked of a device: its clock, its memory, its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from upsampler_bench.case import Settings

Call = Callable[[], object]
Step = Callable[[Callable[[], None]], object]

LAUNCH_BOUND = 0.8
OUT_OF_MEMORY_ERRORS = (MemoryError, torch.cuda.OutOfMemoryError)


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of some calls: on the device, on a synchronised host clock, and in handing the work over."""

    device: tuple[float, ...]
    wall: tuple[float, ...] = ()
    submit: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes beyond what was allocated before: at most, after the forward, and held from the driver."""

    peak: int
    marked: int
    method: str
    reserved: int | None = None


class Device(Protocol):
    """What the rest of the instrument may ask of a device."""

    name: str
    kind: str

    def prepare(self, settings: Settings) -> None:
        """Fixes threads, allocator and numerics, once a process."""

    def time(self, call: Call, count: int) -> Timings:
        """Times `count` calls one by one."""

    def timing_method(self) -> str:
        """How `time` measures, for readers."""

    def peak(self, step: Step) -> Peak:
        """The memory of one step; the step calls its argument between forward and backward."""

    def captured(self, call: Call) -> Call:
        """The call as it is to be timed: itself, or a captured graph's replay."""

    def synchronize(self) -> None:
        """Waits for all work handed over."""

    def is_alive(self) -> bool:
        """Whether the device still answers after an operator failed on it."""

    def release(self) -> None:
        """Gives memory that is held for later back to the system."""

    def describe(self) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
        """The device's name, its versions, and what of the machine stays as it is."""

    def conditions(self) -> Mapping[str, float | str]:
        """What may change during a run: load, clocks, temperature, throttling."""

    def moment(self) -> object:
        """A moment in the device's own stream of work, for `seconds` between two of them."""

    def seconds(self, begin: object, end: object) -> float:
        """What the device took between two moments, once it has come so far."""
