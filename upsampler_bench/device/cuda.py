"""An NVIDIA GPU: events around each call with a flushed L2 cache, memory by the caching allocator's counters."""

from __future__ import annotations

import time
from collections.abc import Mapping

import psutil
import torch

from upsampler_bench.case import Settings
from upsampler_bench.device import nvml, processor
from upsampler_bench.device.types import Call, Peak, Step, Timings


class Cuda:
    """Events around each call with a flushed L2 cache; memory by the caching allocator's counters."""

    kind = "cuda"

    def __init__(self, name: str) -> None:
        self.name = name
        self._device = torch.device(name)
        self._properties = torch.cuda.get_device_properties(self._device)
        self._scratch: torch.Tensor | None = None
        self._graph = self._stuck = False

    def prepare(self, settings: Settings) -> None:
        """Turns TF32 off and cudnn.benchmark on, and allocates the buffer that flushes the cache."""
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
        reserved_before = torch.cuda.memory_reserved(self._device)
        for _ in range(2):
            step(lambda: None)
        self.synchronize()
        torch.cuda.reset_peak_memory_stats(self._device)
        before, levels = torch.cuda.memory_allocated(self._device), []
        out = step(lambda: levels.append(torch.cuda.memory_allocated(self._device)))
        self.synchronize()
        peak = torch.cuda.max_memory_allocated(self._device) - before
        del out
        marked = levels[-1] - before if levels else 0
        reserved = torch.cuda.memory_reserved(self._device) - reserved_before
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

    def conditions(self) -> Mapping[str, float | str]:
        """The driver's readings, and the load of the host."""
        uuid = str(getattr(self._properties, "uuid", "")).removeprefix("GPU-")
        return {"load_1min": round(psutil.getloadavg()[0], 2), **nvml.conditions(f"GPU-{uuid}")}

    def _flush(self) -> None:
        if self._scratch is not None:
            self._scratch.zero_()

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
