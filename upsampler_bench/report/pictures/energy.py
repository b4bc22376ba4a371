"""Latency against energy: which operators no other beats in both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upsampler_bench.report.lines import Condition
from upsampler_bench.report.pictures import Plane
from upsampler_bench.report.pictures.pareto import plane

PLACE = 3


def pictures(conditions: Sequence[Condition]) -> Iterator[Plane]:
    """One plane for each condition under which at least two operators have both."""
    for condition in conditions:
        if made := plane(condition, "energy", "Speed and energy", "latency", "energy"):
            yield made
