"""Time that the host needs to submit one forward to an idle GPU."""

from __future__ import annotations

from functools import partial

from upsampler_bench.case import INFERENCE
from upsampler_bench.metrics import _timed
from upsampler_bench.results import MetricInfo

INFO = MetricInfo(
    "launch",
    "Launch time",
    "s",
    INFERENCE,
    place=14,
    description="Median time on the host's clock until one forward has been submitted to an idle GPU.",
)
INFOS = (INFO,)
DEVICE = "cuda"
readings = partial(_timed.launch_time, INFO.name)
