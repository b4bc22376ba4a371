"""The CPU: single calls on perf_counter_ns, tensor memory counted by live storages."""

from __future__ import annotations

import time
from collections.abc import Mapping

import psutil
import torch

from upsampler_bench.case import Settings
from upsampler_bench.device import processor
from upsampler_bench.device.energy import EnergyCounter, Rapl
from upsampler_bench.device.tensor_memory import LiveStorages
from upsampler_bench.device.types import Call, Peak, Step, Timings
from upsampler_bench.units import counted


class Cpu:
    """Single calls on perf_counter_ns; tensor memory counted by live storages."""

    name = kind = "cpu"

    def __init__(self) -> None:
        self._heap = "default heap"

    def prepare(self, settings: Settings) -> None:
        """Sets the threads and, if asked for, keeps the heap between calls."""
        torch.set_num_threads(processor.threads(settings.threads))
        if settings.malloc == "keep" and processor.keep_heap():
            self._heap = "kept heap"

    def time(self, call: Call, count: int) -> Timings:
        """Times single calls; freeing the output is not timed."""
        seconds = []
        for _ in range(count):
            start = time.perf_counter_ns()
            out = call()
            seconds.append((time.perf_counter_ns() - start) / 1e9)
            del out
        return Timings(tuple(seconds))

    def timing_method(self, *, captured: bool = True) -> str:
        """Names the clock, the threads and the heap."""
        return f"perf_counter around single calls, {counted(torch.get_num_threads(), 'thread')}, {self._heap}"

    def peak(self, step: Step) -> Peak:
        """Counts the storages alive during one step."""
        with LiveStorages() as storages:
            out = step(storages.mark)
        del out
        return Peak(storages.peak, storages.marked, storages.allocations, "live storages (no scratch inside kernels)")

    def captured(self, call: Call) -> Call:
        """A CPU has no graphs: the call itself."""
        return call

    def synchronize(self) -> None:
        """A CPU call has ended when it returns."""

    def is_alive(self) -> bool:
        """Always."""
        return True

    def release(self) -> None:
        """Trims the kept heap."""
        if self._heap == "kept heap":
            processor.trim_heap()

    def describe(self) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
        """The processor."""
        return processor.name(), {}, {"heap": self._heap}

    def identity(self) -> tuple[str, str]:
        """Its core, if this process is bound to one."""
        cores = processor.cores()
        return (f"cpu:{cores[0]}" if len(cores) == 1 else "cpu"), ""

    def conditions(self) -> Mapping[str, float | str]:
        """The load average over the last minute."""
        return {"load_1min": round(psutil.getloadavg()[0], 2)}

    def energy_counter(self) -> EnergyCounter:
        """RAPL."""
        return Rapl()

    def moment(self) -> object:
        """Now, in nanoseconds."""
        return time.perf_counter_ns()

    def seconds(self, begin: object, end: object) -> float:
        """The time between."""
        assert isinstance(begin, int)
        assert isinstance(end, int)
        return (end - begin) / 1e9
