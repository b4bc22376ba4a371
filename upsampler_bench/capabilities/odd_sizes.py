"""Whether sizes that no network was designed for work."""

from __future__ import annotations

from functools import partial

from upsampler_bench.capabilities import No, _probing
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads import output_check
from upsampler_bench.workloads.workload import Workload

SIZES = ((1, 1), (1, 6), (7, 5), (13, 9))
INFO = _probing.info(
    "odd_sizes", "odd size", 205, f"x may be {', '.join(f'{height}×{width}' for height, width in SIZES)} pixels large."
)
INFOS = (INFO,)
METHOD = "one forward a size: shape, dtype, every element written"
SECONDS = 0.1


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Tries each size."""
    tried = {
        f"{height}×{width}": _probing.attempt(partial(_why_not, workload, height, width)) for height, width in SIZES
    }
    refused = {size: reason for size, reason in tried.items() if reason}
    if refused:
        raise No(f"not {', '.join(refused)}: {next(iter(refused.values()))}")
    return _probing.yes(INFO, METHOD)


def _why_not(workload: Workload, height: int, width: int) -> str | None:
    return output_check.why_wrong(_probing.variant(workload, height=height, width=width))
