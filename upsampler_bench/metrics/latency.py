"""Time of one forward: on the device, and on a GPU what its user waits, and what its launch takes the host."""

from __future__ import annotations

from functools import partial

from upsampler_bench.case import INFERENCE
from upsampler_bench.metrics import _timed
from upsampler_bench.results import MetricInfo

INFOS = (
    MetricInfo(
        "latency",
        "Latency",
        "s",
        INFERENCE,
        relative=True,
        place=10,
        description="Median time of one forward under inference mode; on a GPU device time, with launches hidden.",
    ),
    MetricInfo(
        "wall",
        "Wall time",
        "s",
        INFERENCE,
        place=13,
        description="Median time of one forward on the host's clock, from an idle GPU until it is idle again.",
    ),
    MetricInfo(
        "launch",
        "Launch time",
        "s",
        INFERENCE,
        place=14,
        description="Median time on the host's clock until one forward has been submitted to an idle GPU.",
    ),
)
readings = partial(_timed.readings, INFOS)
