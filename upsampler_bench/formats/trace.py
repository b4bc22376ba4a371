"""Profiled steps in the trace event format of Chrome, which Perfetto (ui.perfetto.dev) opens too."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

from upsampler_bench.report.parts import Report, Trace

FILE = "trace.json.gz"
# By the kind of a span, the number and the name of its row.
THREADS = {"range": (1, "calls"), "operation": (1, "calls"), "kernel": (2, "GPU")}
MICROSECONDS = 1e6


def files(report: Report) -> dict[str, bytes]:
    """trace.json.gz, if anything was profiled: a process for each operator, all beginning at zero."""
    return {FILE: gzip.compress(show(report).encode(), mtime=0)} if report.traces else {}


def show(report: Report) -> str:
    """The trace as JSON."""
    events = [event for number, trace in enumerate(report.traces, 1) for event in _events(number, trace)]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}) + "\n"


def _events(process: int, trace: Trace) -> Iterator[dict[str, Any]]:
    """The names of a process and its rows, then its spans."""
    yield _about(process, 0, "process_name", name=trace.title)
    yield _about(process, 0, "process_sort_index", sort_index=process)
    for thread, name in sorted({THREADS[span.kind] for span in trace.spans}):
        yield _about(process, thread, "thread_name", name=name)
    for span in trace.spans:
        yield {
            "ph": "X",
            "name": span.name,
            "cat": span.kind,
            "pid": process,
            "tid": THREADS[span.kind][0],
            "ts": round(span.begin * MICROSECONDS, 3),
            "dur": round(span.seconds * MICROSECONDS, 3),
            **({"args": {"in": span.within}} if span.within else {}),
        }


def _about(process: int, thread: int, what: str, **values: str | int) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": values}
