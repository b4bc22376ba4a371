"""An NVIDIA GPU: events around each call with launches hidden and L2 flushed, memory by the allocator's counters."""

from __future__ import annotations

import time
from collections.abc import Mapping
from weakref import WeakSet

import psutil
import torch

from upsampler_bench.case import Settings
from upsampler_bench.device import nvml, processor
from upsampler_bench.device.energy import EnergyCounter, Nvml
from upsampler_bench.device.types import Call, Peak, Step, Timings

# A spin lasts so many times the host's submit time and so much longer (s), since recording events takes the host time
# too. A longer one than LONGEST_SPIN (s) would cost more than it is worth.
SPIN_FACTOR, SPIN_MARGIN, LONGEST_SPIN = 2.0, 50e-6, 0.1
# How often a sample is taken again, with a spin twice as long, before its call counts as one that cannot be hidden.
RETAKES = 3
# Spins by which the GPU's clock is measured, and their length (cycles; about 2 ms): together they last long enough for
# an idle GPU to raise its clock.
CALIBRATIONS, CALIBRATION_CYCLES = 10, 4_000_000
Span = tuple[torch.cuda.Event, torch.cuda.Event]


class Cuda:
    """Events around each call with launches hidden and L2 flushed; memory by the caching allocator's counters."""

    kind = "cuda"

    def __init__(self, name: str) -> None:
        self.name = name
        self._device = torch.device(name)
        self._properties = torch.cuda.get_device_properties(self._device)
        self._scratch: torch.Tensor | None = None
        self._cycles_per_second = 0.0
        # Calls whose launches cannot be hidden: they wait for the device, or are more than its queue takes.
        self._exposed: WeakSet[Call] = WeakSet()
        self._graph = self._stuck = False

    def prepare(self, settings: Settings) -> None:
        """Turns TF32 off and cudnn.benchmark on, allocates what flushes the cache, and calibrates the spin."""
        torch.cuda.set_device(self._device)
        torch.set_num_threads(processor.threads(settings.threads))
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        self._graph = settings.cuda_graph
        size = int(getattr(self._properties, "L2_cache_size", 0)) or 64 * 2**20
        if settings.cache == "cold":
            self._scratch = torch.empty(2 * size // 4, dtype=torch.int32, device=self._device)
        self._cycles_per_second = self._calibrate()

    def time(self, call: Call, count: int) -> Timings:
        """Times one call on the host's clock, then `count` on the device, with one synchronise for these.

        Before each of the `count` calls the device spins until the host has submitted it, so that no time is measured
        in which the device waits for the host. If a spin was too short, the sample is taken again with a longer one.
        """
        wall, launch = self._time_on_host(call)
        spin = SPIN_FACTOR * launch + SPIN_MARGIN
        spans, exposed = [], 0
        for _ in range(count):
            span, is_hidden = self._record(call, spin)
            retakes = 0 if call in self._exposed else RETAKES
            while not is_hidden and retakes:
                spin, retakes = 2 * spin, retakes - 1
                span, is_hidden = self._record(call, spin)
            if is_hidden:
                self._exposed.discard(call)
            else:
                self._exposed.add(call)
                exposed += 1
            spans.append(span)
        self.synchronize()
        device = tuple(start.elapsed_time(end) / 1e3 for start, end in spans)
        return Timings(device, (wall,), (launch,), exposed)

    def _time_on_host(self, call: Call) -> tuple[float, float]:
        """Seconds from an idle device until it is idle again, and until the call returned."""
        self._flush()
        self.synchronize()
        begun = time.perf_counter_ns()
        out = call()
        submitted = time.perf_counter_ns()
        self.synchronize()
        ended = time.perf_counter_ns()
        del out
        return (ended - begun) / 1e9, (submitted - begun) / 1e9

    def _record(self, call: Call, spin: float) -> tuple[Span, bool]:
        """Events around a call behind a spin (s), and whether the device was still spinning when all was submitted."""
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        self._flush()
        torch.cuda._sleep(int(min(spin, LONGEST_SPIN) * self._cycles_per_second))
        start.record()
        out = call()
        end.record()
        is_hidden = not start.query()
        del out
        return (start, end), is_hidden

    def _calibrate(self) -> float:
        """Cycles per second of the GPU's clock, at its highest."""
        seconds = []
        for _ in range(CALIBRATIONS):
            begin = self.moment()
            torch.cuda._sleep(CALIBRATION_CYCLES)
            seconds.append(self.seconds(begin, self.moment()))
        return CALIBRATION_CYCLES / min(seconds)

    def timing_method(self, *, captured: bool = True) -> str:
        """Names the clock, how launches are hidden, the cache and the graph, where the calls are captured."""
        cache = "warm L2" if self._scratch is None else "cold, clean L2"
        graph = ", replayed CUDA graph" if self._graph and captured else ""
        return f"CUDA events, launches hidden by a spin, {cache}{graph}"

    def peak(self, step: Step) -> Peak:
        """Two warm steps, then the allocator's peak beyond the level before."""
        torch.cuda.empty_cache()
        reserved_before = torch.cuda.memory_reserved(self._device)
        for _ in range(2):
            step(lambda: None)
        self.synchronize()
        torch.cuda.reset_peak_memory_stats(self._device)
        before, levels, allocations = torch.cuda.memory_allocated(self._device), [], self._allocations()
        out = step(lambda: levels.append(torch.cuda.memory_allocated(self._device)))
        self.synchronize()
        peak = torch.cuda.max_memory_allocated(self._device) - before
        del out
        marked = levels[-1] - before if levels else 0
        reserved = torch.cuda.memory_reserved(self._device) - reserved_before
        made = self._allocations() - allocations
        return Peak(peak, marked, made, "CUDA allocator's peak", reserved=reserved)

    def _allocations(self) -> int:
        """How many there have been in this process."""
        return int(torch.cuda.memory_stats(self._device).get("allocation.all.allocated", 0))

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
        self._stuck = True  # a capture that fails leaves its stream and its pool behind
        with torch.cuda.graph(graph):
            call()
        self._stuck = False
        return graph.replay

    def synchronize(self) -> None:
        """Waits for the GPU."""
        torch.cuda.synchronize(self._device)

    def is_alive(self) -> bool:
        """False after an illegal access or a failed capture: every later call of this process would fail too."""
        try:
            self.synchronize()
        except RuntimeError:
            return False
        return not self._stuck

    def release(self) -> None:
        """Empties the caching allocator."""
        torch.cuda.empty_cache()

    def describe(self) -> tuple[str, Mapping[str, str], Mapping[str, str]]:
        """The GPU, the driver and the numerics."""
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

    def identity(self) -> tuple[str, str]:
        """The driver's index, which does not depend on what this process may see, and the UUID."""
        index = nvml.index(self._uuid)
        return (self.name if index is None else f"cuda:{index}"), self._uuid

    def conditions(self) -> Mapping[str, float | str]:
        """The driver's readings, and the load of the host."""
        return {"load_1min": round(psutil.getloadavg()[0], 2), **nvml.conditions(self._uuid)}

    def energy_counter(self) -> EnergyCounter:
        """NVML's."""
        return Nvml(self._uuid)

    @property
    def _uuid(self) -> str:
        return nvml.uuid(self._properties)

    def _flush(self) -> None:
        """Replaces what L2 holds: by a write, and by a read, after which no line has to be written back."""
        if self._scratch is not None:
            self._scratch.zero_()
            self._scratch.max()

    def moment(self) -> object:
        """An event in the current stream."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, begin: object, end: object) -> float:
        """The time between two events; waits for the second."""
        assert isinstance(begin, torch.cuda.Event)
        assert isinstance(end, torch.cuda.Event)
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3
