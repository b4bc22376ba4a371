"""The run as github-action-benchmark reads it with `tool: customSmallerIsBetter`.

Its schema: a list of {name, unit, value, range?, extra?}; see "Examples" in that action's README.
"""

from __future__ import annotations

import json

from upsampler_bench.export._figures import Figure, figures
from upsampler_bench.results import Run

ABOUT = "github-action-benchmark, tool customSmallerIsBetter (github-action.json)"
FILE = "github-action.json"
UNITS = {"B": "bytes"}


def files(run: Run) -> dict[str, bytes]:
    """github-action.json: every figure of which less is better, in seconds, bytes and counts."""
    said = [_entry(one) for one in figures(run) if one.info.lower_is_better]
    return {FILE: (json.dumps(said, indent=1, allow_nan=False) + "\n").encode()}


def _entry(one: Figure) -> dict[str, str | float]:
    entry: dict[str, str | float] = {
        "name": f"{one.case.key}: {one.info.name}",
        "unit": UNITS.get(one.info.unit, one.info.unit),
        "value": one.estimate.value,
        "extra": f"{one.info.title}: {one.reading.method}",
    }
    if one.interval:
        low, high = one.interval
        # The action prints this text beside the value; the wider side stands for both.
        entry["range"] = f"± {max(high - one.estimate.value, one.estimate.value - low):.3g}"
        entry["extra"] = f"{entry['extra']}\n95 % interval {low:.6g} to {high:.6g}, {one.estimate.count} rounds"
    return entry
