"""Whether a forward can be captured in a CUDA graph."""

from __future__ import annotations

import torch

from upsampler_bench import device as devices
from upsampler_bench.capabilities import NotApplicable, _probing
from upsampler_bench.case import Settings
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload

INFO = _probing.info(
    "cuda_graph", "CUDA graph", 213, "A forward is captured in a CUDA graph, whose replay follows its inputs."
)
INFOS = (INFO,)
METHOD = "replay of a captured forward with other inputs, compared with eager"
SECONDS = 0.1


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Captures a forward, writes other inputs into the same memory, and replays it."""
    if device.kind != "cuda":
        raise NotApplicable("needs CUDA")
    built = _probing.variant(workload)
    out = torch.empty(0)

    def call() -> None:
        nonlocal out
        out = _probing.forward(built)

    capturing = Settings(cuda_graph=True, cache="warm", threads=torch.get_num_threads())
    replay = devices.create(device.name, capturing).captured(call)
    captured = out
    with torch.no_grad():
        for x in built.inputs:
            x.copy_(x.flip(0) if x.shape[0] > 1 else x)
        built.inputs[0].neg_()
    replay()
    device.synchronize()
    error = _probing.error(captured, _probing.forward(built), _probing.tolerance(workload), "eager")
    return _probing.yes(INFO, METHOD, error=error)
