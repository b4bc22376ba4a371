"""Whether the operator compiles as one graph, and how long that takes."""

from __future__ import annotations

import time

import torch

from upsampler_bench.capabilities import _compiler, _probing
from upsampler_bench.case import PROBE
from upsampler_bench.device import Device
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

FULL = _probing.info(
    "compiles", "comp full", 209, "torch.compile(fullgraph=True) makes one graph of a forward, with eager's values."
)
TIME = MetricInfo(
    "compile_time",
    "comp",
    "s",
    PROBE,
    place=211,
    description="Seconds that the first call under torch.compile takes, from empty caches.",
)
INFOS = (FULL, TIME)
BACKEND = "inductor"
METHOD = f"torch.compile by {BACKEND} from empty caches, one compiling thread"
SECONDS = 13.0


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Compiles for one size, times the first call and compares its output with eager's."""
    built = _probing.variant(workload)
    eager = _probing.forward(built)
    with _compiler.empty_caches(workload.case.device), torch.no_grad():
        compiled = torch.compile(built.module, fullgraph=True, dynamic=False, backend=BACKEND)
        begin = time.perf_counter()
        out = compiled(*built.inputs)
        device.synchronize()
        seconds = time.perf_counter() - begin
    error = _probing.error(out, eager, _probing.tolerance(workload), "eager")
    return (*_probing.yes(FULL, METHOD, error=error), Reading(TIME.name, ((seconds,),), METHOD))
