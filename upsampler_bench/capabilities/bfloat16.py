"""Whether bfloat16 works: forward and backward run, keep the dtype, and stay close to float32."""

from __future__ import annotations

from upsampler_bench.capabilities import _precision, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload

INFO = _probing.info(
    "bfloat16",
    "bf16",
    202,
    "Forward and backward in bfloat16 run and keep the dtype; the output matches float32 within rounding, gradients "
    "roughly.",
)
INFOS = (INFO,)
METHOD = _precision.METHOD
SECONDS = 0.1


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Compares output and gradients with those of float32."""
    return _probing.yes(INFO, METHOD, error=_precision.error_in(workload, "bfloat16"))
