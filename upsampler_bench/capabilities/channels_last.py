"""Whether inputs in channels_last work, and whether the output is channels_last too."""

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
    'Inputs in memory format channels_last give the same values and gradients: "yes" if the output is channels_last '
    'too, "in" if only the inputs are.',
)
INFOS = (INFO,)
METHOD = "one forward and backward, compared with contiguous inputs"
SECONDS = 0.1


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Compares output and gradients with those of contiguous inputs."""
    values = _probing.outcome(_probing.variant(workload, layout="channels_last", mode=TRAIN))
    expected = _probing.outcome(_probing.variant(workload, layout="contiguous", mode=TRAIN))
    dtype = expected["output"].dtype
    error = max(
        _probing.error(values[name], expected[name], _probing.limit(name, dtype), "contiguous inputs", name=name)
        for name in expected
    )
    if values["output"].is_contiguous(memory_format=torch.channels_last):
        return _probing.yes(INFO, METHOD, error=error, output="channels_last")
    note = "channels_last inputs work, but the output is not channels_last"
    return _probing.yes(INFO, METHOD, note, error=error, output="other", shown="in")
