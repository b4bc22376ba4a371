"""The run as pytest-benchmark stores its results: one benchmark per timed case, with every raw sample.

The case's other values are in each benchmark's `extra_info`, by metric, in base units.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from pytest_benchmark.stats import Stats  # type: ignore[import-untyped,unused-ignore]

from upsampler_bench.export._values import Value, latency_of, values_of
from upsampler_bench.results import Measurement, Run

FILE = "pytest-benchmark.json"
# Of the format that is written.
VERSION = "5.1.0"


def files(run: Run) -> dict[str, bytes]:
    """pytest-benchmark.json: one benchmark per case that has a latency."""
    timed = [(measurement, latency_of(run, measurement)) for measurement in run.measurements]
    data = {
        "machine_info": _machine_info(run),
        "commit_info": {"id": None, "time": None, "author_time": None, "dirty": False, "project": "upsampler-bench"},
        "benchmarks": [_benchmark(run, measurement, latency) for measurement, latency in timed if latency],
        "datetime": run.finished or run.started,
        "version": VERSION,
    }
    return {FILE: (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()}


def _benchmark(run: Run, measurement: Measurement, latency: Value) -> dict[str, object]:
    case = measurement.case
    name = case.label(run.backends)
    stats: Any = Stats()  # type: ignore[no-untyped-call,unused-ignore]
    for sample in latency.reading.samples:
        stats.update(sample)
    return {
        "group": case.group,
        "name": name,
        "fullname": f"upsampler-bench::{case.key}",
        "params": {"upsampler": case.upsampler},
        "param": name,
        "extra_info": {
            **asdict(case),
            "threads": run.environment.machine.get("threads", str(run.settings.threads)),
            **{value.info.name: value.reading.estimate.value for value in values_of(run, measurement)},
        },
        "options": {
            "disable_gc": False,
            "timer": "perf_counter" if case.device == "cpu" else latency.reading.method,
            "min_rounds": run.settings.min_samples,
            "max_time": run.settings.max_time,
            "min_time": 0.0,
            "warmup": True,
        },
        "stats": {**stats.as_dict(), "data": stats.data, "iterations": 1},
    }


def _machine_info(run: Run) -> dict[str, object]:
    environment = run.environment
    system, _, release = environment.machine.get("system", "").partition(" ")
    return {
        "node": "",
        "processor": environment.device_name,
        "machine": environment.machine.get("architecture", ""),
        "python_compiler": "",
        "python_implementation": "CPython",
        "python_implementation_version": environment.versions.get("python", ""),
        "python_version": environment.versions.get("python", ""),
        "python_build": [],
        "release": release,
        "system": system,
        "cpu": {"brand_raw": environment.device_name},
    }
