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
    """Runs and checks one forward of each size."""
    reasons = {}
    for height, width in SIZES:
        if reason := _probing.attempt(partial(_why_wrong, workload, height, width)):
            reasons[f"{height}×{width}"] = reason
    if reasons:
        raise No(f"not {', '.join(reasons)}: {next(iter(reasons.values()))}")
    return _probing.yes(INFO, METHOD)


def _why_wrong(workload: Workload, height: int, width: int) -> str | None:
    return output_check.why_wrong(_probing.variant(workload, height=height, width=width))
