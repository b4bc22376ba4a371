"""The run in Bencher Metric Format, for `bencher run --adapter json`.

{benchmark: {measure: {value, lower_value, upper_value}}}. A measure is named by its slug. Bencher's own `latency` is
in nanoseconds; it creates measures that it does not know when it first reads them, in the unit that they are sent in:
bytes and counts here.
"""

from __future__ import annotations

import json
import re

from upsampler_bench.export._values import SECONDS, Value, values
from upsampler_bench.results import MetricInfo, Run

FILE = "bencher.json"
NANOSECONDS = 1e9


def files(run: Run) -> dict[str, bytes]:
    """bencher.json: one benchmark per case, one measure per metric."""
    benchmarks: dict[str, dict[str, dict[str, float]]] = {}
    for value in values(run):
        benchmarks.setdefault(value.case.key, {})[slug(value.info)] = _metric(value)
    return {FILE: (json.dumps(benchmarks, indent=1, allow_nan=False) + "\n").encode()}


def slug(info: MetricInfo) -> str:
    """A metric's measure: the benchmark's name has the mode already, so train_latency is "latency" as well."""
    plain = info.name.removeprefix(f"{info.mode}_").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "measure"


def _metric(value: Value) -> dict[str, float]:
    size = NANOSECONDS if value.info.unit == SECONDS else 1.0
    metric = {"value": value.reading.estimate.value * size}
    if value.interval:
        low, high = value.interval
        metric |= {"lower_value": low * size, "upper_value": high * size}
    return metric
