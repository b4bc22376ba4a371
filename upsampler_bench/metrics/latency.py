"""Time of one forward on the device."""

from __future__ import annotations

from functools import partial

from upsampler_bench.case import INFERENCE
from upsampler_bench.metrics import _timed
from upsampler_bench.results import MetricInfo

INFO = MetricInfo(
    "latency",
    "Latency",
    "s",
    INFERENCE,
    relative=True,
    place=10,
    description="Median time of one forward under inference mode; on a GPU device time, with launches hidden.",
)
INFOS = (INFO,)
readings = partial(_timed.device_time, INFO.name)
