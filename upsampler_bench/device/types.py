"""The interface of a device: its clock, its memory, its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from upsampler_bench.case import Settings
from upsampler_bench.device.energy import EnergyCounter

Call = Callable[[], object]
Step = Callable[[Callable[[], None]], object]

OUT_OF_MEMORY_ERRORS = (MemoryError, torch.cuda.OutOfMemoryError)


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of some calls.

    Attributes:
        device: on the device (a CPU: of the call).
        wall: on the host's clock, from an idle device until it is idle again; empty on a CPU.
        launch: of the same calls as `wall`, until the call returned.
        exposed: how many of `device` may include time in which the device waited for the host.
    """

    device: tuple[float, ...]
    wall: tuple[float, ...] = ()
    launch: tuple[float, ...] = ()
    exposed: int = 0


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes beyond what was allocated before: the peak, those at the mark, and those reserved from the driver.

    Attributes:
        allocations: how many there were.
    """

    peak: int
    marked: int
    allocations: int
    method: str
    reserved: int | None = None


class Device(Protocol):
    """What other subpackages use of a device."""

    name: str
    kind: str

    def prepare(self, settings: Settings) -> None:
        """Sets threads, allocator and numerics, once per process."""

    def time(self, call: Call, count: int) -> Timings:
        """Times `count` calls one by one."""

    def timing_method(self, *, captured: bool = True) -> str:
        """How `time` measures, for readers."""

    def peak(self, step: Step) -> Peak:
        """The memory of one step; the step calls its argument between forward and backward."""

    def captured(self, call: Call) -> Call:
        """What is timed: the call itself, or the replay of a captured graph."""

    def synchronize(self) -> None:
        """Waits for all submitted work."""

    def is_alive(self) -> bool:
        """Whether the device still answers after an operator failed on it."""

    def release(self) -> None:
        """Returns cached memory to the system."""

    def describe(self) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
        """The device's name, its versions, and properties of the machine that do not change."""

    def identity(self) -> tuple[str, str]:
        """The device as its host counts it, such as "cuda:3", and a GPU's UUID."""

    def conditions(self) -> Mapping[str, float | str]:
        """What may change during a run: load, clocks, temperature, throttling."""

    def energy_counter(self) -> EnergyCounter:
        """What counts the energy that it uses.

        Raises:
            DeviceError: it has no counter.
        """

    def moment(self) -> object:
        """A moment in the device's own stream of work, for `seconds` between two of them."""

    def seconds(self, begin: object, end: object) -> float:
        """Seconds between two moments; waits for the second."""
