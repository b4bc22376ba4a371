"""The run as pytest-benchmark stores its results: a benchmark a timed case, with every raw sample.

What its schema has no place for stands in each benchmark's `extra_info` (the other figures by name, in base units) and
under the key "upsampler_bench", from which `upsampler-bench report` reads the same run again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict

from upsampler_bench import benchmark_json
from upsampler_bench.benchmark_json import OURS
from upsampler_bench.export import _commit
from upsampler_bench.export._figures import Figure, of, timed
from upsampler_bench.export._order_stats import summary
from upsampler_bench.results import Measurement, Run

ABOUT = "pytest-benchmark JSON with all samples, for pytest-benchmark compare (pytest-benchmark.json)"
FILE = "pytest-benchmark.json"


def files(run: Run) -> dict[str, bytes]:
    """pytest-benchmark.json: cases without a latency stand only under "upsampler_bench"."""
    found = [(one, timed(run, one)) for one in run.measurements]
    kept = [{"benchmark": _fullname(one)} if figure else asdict(one) for one, figure in found]
    data = {
        "machine_info": _machine_info(run),
        "commit_info": _commit_info(run),
        "benchmarks": [_benchmark(run, one, figure) for one, figure in found if figure],
        "datetime": _commit.moment(run.finished, run.started).isoformat(),
        "version": benchmark_json.VERSION,
        OURS: {**asdict(run), "measurements": kept},
    }
    return {FILE: (json.dumps(_writable(data), indent=1, allow_nan=False) + "\n").encode()}


def _benchmark(run: Run, one: Measurement, figure: Figure) -> dict[str, object]:
    case = one.case
    return {
        "group": case.group,
        "name": case.upsampler,
        "fullname": _fullname(one),
        "params": {"upsampler": case.upsampler},
        "param": case.upsampler,
        "extra_info": {**dict(_columns(run, one)), OURS: benchmark_json.without_samples(one, figure.info.name)},
        "options": {
            "disable_gc": False,
            "timer": "perf_counter" if case.device == "cpu" else figure.reading.method,
            "min_rounds": run.settings.min_samples,
            "max_time": run.settings.max_time,
            "min_time": 0.0,
            "warmup": True,
        },
        "stats": summary(figure.reading.samples),
    }


def _fullname(one: Measurement) -> str:
    return f"upsampler-bench::{one.case.key}"


def _columns(run: Run, one: Measurement) -> Iterator[tuple[str, object]]:
    """What people look for in `extra_info`: the shape, how it was run, and the case's other figures."""
    yield from benchmark_json.columns(one.case)
    yield "threads", run.environment.machine.get("threads", str(run.settings.threads))
    for figure in of(run, one):
        yield figure.info.name, figure.estimate.value


def _machine_info(run: Run) -> dict[str, object]:
    where = run.environment
    system, _, release = where.machine.get("system", "").partition(" ")
    return {
        "node": "",
        "processor": where.device_name,
        "machine": where.machine.get("architecture", ""),
        "python_compiler": "",
        "python_implementation": "CPython",
        "python_implementation_version": where.versions.get("python", ""),
        "python_version": where.versions.get("python", ""),
        "python_build": [],
        "release": release,
        "system": system,
        "cpu": {"brand_raw": where.device_name},
    }


def _commit_info(run: Run) -> dict[str, object]:
    commit = _commit.of(run)
    date = commit.date if commit and commit.date else None
    identity = commit.identity if commit else None
    return {"id": identity, "time": date, "author_time": date, "dirty": False, "project": "upsampler-bench"}


def _writable(value: object) -> object:
    """The value with numbers that JSON has no way to write as words, which reading a run takes as well."""
    if isinstance(value, dict):
        return {name: _writable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
