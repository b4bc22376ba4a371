"""Whether bfloat16 works: forward and backward run, keep the dtype, and stay near float32."""

from __future__ import annotations

from upsampler_bench.capabilities import _precision, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload

INFO = _probing.info(
    "bfloat16",
    "bf16",
    202,
    "Forward and backward in bfloat16 run and keep the dtype; the output is within its rounding of float32's, "
    "gradients roughly.",
)
INFOS = (INFO,)
METHOD = _precision.METHOD
SECONDS = 0.1


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Holds output and gradients against those of float32."""
    return _probing.yes(INFO, METHOD, error=_precision.off_in(workload, "bfloat16"))
