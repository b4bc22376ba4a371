"""The run in Bencher Metric Format: {benchmark: {measure: {value, lower_value, upper_value}}}.

A measure is named by its slug. Bencher's own `latency` is in nanoseconds; measures that it does not have yet it makes
when it first reads them, in the unit that they are sent in: bytes and counts here.
"""

from __future__ import annotations

import json
import re

from upsampler_bench.export._figures import SECONDS, Figure, figures
from upsampler_bench.results import MetricInfo, Run

ABOUT = "Bencher Metric Format, for bencher run --adapter json (bencher.json)"
FILE = "bencher.json"
NANOSECONDS = 1e9


def files(run: Run) -> dict[str, bytes]:
    """bencher.json: a benchmark a case, a measure a metric."""
    told: dict[str, dict[str, dict[str, float]]] = {}
    for one in figures(run):
        told.setdefault(one.case.key, {})[slug(one.info)] = _metric(one)
    return {FILE: (json.dumps(told, indent=1, allow_nan=False) + "\n").encode()}


def slug(info: MetricInfo) -> str:
    """A metric's measure: the benchmark's name says the mode already, so train_latency is "latency" as well."""
    plain = info.name.removeprefix(f"{info.mode}_").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "measure"


def _metric(one: Figure) -> dict[str, float]:
    size = NANOSECONDS if one.info.unit == SECONDS else 1.0
    metric = {"value": one.estimate.value * size}
    if one.interval:
        low, high = one.interval
        metric |= {"lower_value": low * size, "upper_value": high * size}
    return metric
