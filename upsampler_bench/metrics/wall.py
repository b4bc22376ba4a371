"""Time that a user of one forward waits: from an idle GPU until it is idle again."""

from __future__ import annotations

from functools import partial

from upsampler_bench.case import INFERENCE
from upsampler_bench.metrics import _timed
from upsampler_bench.results import MetricInfo

INFO = MetricInfo(
    "wall",
    "Wall time",
    "s",
    INFERENCE,
    place=13,
    description="Median time of one forward on the host's clock, from an idle GPU until it is idle again.",
)
INFOS = (INFO,)
DEVICE = "cuda"
readings = partial(_timed.wall_time, INFO.name)
