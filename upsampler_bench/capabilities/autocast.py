"""Whether autocast works: forward and backward run, the output has x's dtype, and values stay close to float32."""

from __future__ import annotations

import torch

from upsampler_bench.capabilities import _precision, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload

INFO = _probing.info(
    "autocast",
    "amp",
    203,
    "Forward and backward under torch.autocast (float16 on CUDA, bfloat16 on a CPU) run; the output has x's dtype and "
    "matches float32 within rounding, the gradients roughly.",
)
INFOS = (INFO,)
METHOD = _precision.METHOD
SECONDS = 0.1


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Compares output and gradients with those without autocast."""
    dtype = torch.float16 if device.kind == "cuda" else torch.bfloat16
    return _probing.yes(INFO, METHOD, error=_precision.error_under_autocast(workload, dtype))
