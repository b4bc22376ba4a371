"""Whether inputs in channels_last are taken, and whether the output is laid out so too."""

from __future__ import annotations

import torch

from upsampler_bench.capabilities import _probing
from upsampler_bench.case import TRAIN
from upsampler_bench.device import Device
from upsampler_bench.results import Reading
from upsampler_bench.workloads.workload import Workload

INFO = _probing.info(
    "channels_last",
    "NHWC",
    204,
    "Inputs in memory format channels_last give the same values and gradients: yes where the output is laid out so "
    "too, in where only they are.",
)
INFOS = (INFO,)
METHOD = "one forward and backward, held against contiguous inputs"
SECONDS = 0.1


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Holds output and gradients against those of contiguous inputs."""
    plain, laid_out = (_probing.variant(workload, layout=one, mode=TRAIN) for one in ("contiguous", "channels_last"))
    found = _probing.outcome(laid_out)
    error = _probing.hold(found, _probing.outcome(plain), _probing.rounding(workload), "contiguous inputs")
    if found["output"].is_contiguous(memory_format=torch.channels_last):
        return _probing.yes(INFO, METHOD, error=error, output="channels_last")
    note = "channels_last goes in, the output is laid out otherwise"
    return _probing.yes(INFO, METHOD, note, error=error, output="other", shown="in")
