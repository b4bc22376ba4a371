"""The only room that knows a CPU from a GPU: clocks, memory and settings of the device that is measured on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import psutil
import torch

from upsampler_bench import nvml, processor
from upsampler_bench.case import Settings
from upsampler_bench.errors import DeviceError
from upsampler_bench.live_storage import LiveStorages

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


class Cpu:
    """Single calls on perf_counter_ns; tensor memory counted by live storages."""

    name = kind = "cpu"

    def __init__(self) -> None:
        self._heap = "default heap"

    def prepare(self, settings: Settings) -> None:
        """Sets the threads and, where asked for, keeps the heap between calls."""
        torch.set_num_threads(settings.threads or processor.usable_cores())
        if settings.malloc == "keep" and processor.keep_heap():
            self._heap = "kept heap"

    def time(self, call: Call, count: int) -> Timings:
        """Times single calls; freeing the output is outside."""
        taken = []
        for _ in range(count):
            start = time.perf_counter_ns()
            out = call()
            taken.append((time.perf_counter_ns() - start) / 1e9)
            del out
        return Timings(tuple(taken))

    def timing_method(self) -> str:
        """Names the clock, the threads and the heap."""
        threads = torch.get_num_threads()
        return f"perf_counter around single calls, {threads} thread{'s' * (threads > 1)}, {self._heap}"

    def peak(self, step: Step) -> Peak:
        """Counts the storages alive during one step."""
        with LiveStorages() as storages:
            out = step(storages.mark)
        del out
        return Peak(storages.peak, storages.marked, "live storages (no scratch inside kernels)")

    def captured(self, call: Call) -> Call:
        """A CPU has no graphs: the call itself."""
        return call

    def synchronize(self) -> None:
        """A CPU call has ended when it returns."""

    def is_alive(self) -> bool:
        """A CPU always is."""
        return True

    def release(self) -> None:
        """Trims the kept heap."""
        if self._heap == "kept heap":
            processor.trim_heap()

    def describe(self) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
        """The processor."""
        return processor.name(), {}, {"heap": self._heap}

    def conditions(self) -> Mapping[str, float | str]:
        """The load average over the last minute."""
        return {"load_1min": round(psutil.getloadavg()[0], 2)}


class Cuda:
    """Events around each call with a flushed L2 cache; memory by the caching allocator's counters."""

    kind = "cuda"

    def __init__(self, name: str) -> None:
        self.name = name
        self._device = torch.device(name)
        self._properties = torch.cuda.get_device_properties(self._device)
        self._scratch: torch.Tensor | None = None
        self._graph = False

    def prepare(self, settings: Settings) -> None:
        """Turns TF32 off and cudnn.benchmark on, and takes the buffer that flushes the cache."""
        torch.cuda.set_device(self._device)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        self._graph = settings.cuda_graph
        size = int(getattr(self._properties, "L2_cache_size", 0)) or 64 * 2**20
        if settings.cache == "cold":
            self._scratch = torch.empty(2 * size, dtype=torch.uint8, device=self._device)

    def time(self, call: Call, count: int) -> Timings:
        """An event pair around each call and one synchronise for all; then one call on the host's clock."""
        pairs, submit = [], []
        for _ in range(count):
            self._flush()
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            begun = time.perf_counter_ns()
            out = call()
            submit.append((time.perf_counter_ns() - begun) / 1e9)
            end.record()
            del out
            pairs.append((start, end))
        self.synchronize()
        device = tuple(start.elapsed_time(end) / 1e3 for start, end in pairs)
        self._flush()
        self.synchronize()
        begun = time.perf_counter_ns()
        call()
        self.synchronize()
        return Timings(device, ((time.perf_counter_ns() - begun) / 1e9,), tuple(submit))

    def timing_method(self) -> str:
        """Names the clock, the cache and the graph."""
        cache = "warm L2" if self._scratch is None else "cold L2"
        return f"CUDA events, {cache}{', replayed CUDA graph' if self._graph else ''}"

    def peak(self, step: Step) -> Peak:
        """Two warm steps, then the allocator's peak beyond the level before."""
        torch.cuda.empty_cache()
        held = torch.cuda.memory_reserved(self._device)
        for _ in range(2):
            step(_nothing)
        self.synchronize()
        torch.cuda.reset_peak_memory_stats(self._device)
        before, levels = torch.cuda.memory_allocated(self._device), []
        out = step(lambda: levels.append(torch.cuda.memory_allocated(self._device)))
        self.synchronize()
        peak = torch.cuda.max_memory_allocated(self._device) - before
        del out
        marked = levels[-1] - before if levels else 0
        reserved = torch.cuda.memory_reserved(self._device) - held
        return Peak(peak, marked, "CUDA allocator's peak", reserved=reserved)

    def captured(self, call: Call) -> Call:
        """With --cuda-graph the replay of the captured call, else the call itself."""
        if not self._graph:
            return call
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        return graph.replay

    def synchronize(self) -> None:
        """Waits for the GPU."""
        torch.cuda.synchronize(self._device)

    def is_alive(self) -> bool:
        """False after an illegal access: every later call of this process would fail alike."""
        try:
            self.synchronize()
        except RuntimeError:
            return False
        return True

    def release(self) -> None:
        """Empties the caching allocator."""
        torch.cuda.empty_cache()

    def describe(self) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
        """The GPU, the driver and what TF32 is set to."""
        versions = {"cuda": torch.version.cuda or "", "driver": nvml.driver_version()}
        versions["cudnn"] = str(torch.backends.cudnn.version() or "")
        tf32 = torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
        machine = {
            "host": processor.name(),
            "gpu_memory": f"{self._properties.total_memory / 2**30:.1f} GiB",
            "tf32": "on" if tf32 else "off",
            "cudnn_benchmark": "on" if torch.backends.cudnn.benchmark else "off",
        }
        return str(self._properties.name), versions, machine

    def conditions(self) -> Mapping[str, float | str]:
        """What the driver says now, and the host's load."""
        uuid = str(getattr(self._properties, "uuid", ""))
        read = nvml.conditions(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
        return {"load_1min": round(psutil.getloadavg()[0], 2), **read}

    def _flush(self) -> None:
        if self._scratch is not None:
            self._scratch.zero_()


def _nothing() -> None:
    """Stands for the mark where nobody reads it."""
