"""The run as github-action-benchmark reads it with `tool: customSmallerIsBetter`.

Its schema: a list of {name, unit, value, range?, extra?}; see "Examples" in that action's README.
"""

from __future__ import annotations

import json

from upsampler_bench.export._values import Value, values
from upsampler_bench.results import Run

FILE = "github-action.json"
UNITS = {"B": "bytes"}


def files(run: Run) -> dict[str, bytes]:
    """github-action.json: every value of which less is better, in seconds, bytes and counts."""
    entries = [_entry(value) for value in values(run) if value.info.lower_is_better]
    return {FILE: (json.dumps(entries, indent=1, allow_nan=False) + "\n").encode()}


def _entry(value: Value) -> dict[str, str | float]:
    estimate = value.reading.estimate
    entry: dict[str, str | float] = {
        "name": f"{value.case.key}: {value.info.name}",
        "unit": UNITS.get(value.info.unit, value.info.unit),
        "value": estimate.value,
        "extra": f"{value.info.title}: {value.reading.method}",
    }
    if value.interval:
        low, high = value.interval
        # The action prints this text next to the value; the wider side stands for both.
        entry["range"] = f"± {max(high - estimate.value, estimate.value - low):.3g}"
        entry["extra"] = f"{entry['extra']}\n95 % interval {low:.6g} to {high:.6g}, {estimate.count} rounds"
    return entry
