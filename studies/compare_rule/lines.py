"""The files of a study: setup.json, and a line for each process; who writes them and who reads them agree here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upsampler_bench.compare.samples import Point, Timing

SETUP = "setup.json"
# points-<load>.jsonl: some operators, each also with more to do; same-<load>.jsonl: all, only against themselves.
POINTS, SAME = "points", "same"
PROCESSES = 16
_NANO = 1e-9


def to_line(point: Point, job: int, number: int, at: str) -> dict[str, Any]:
    """A process compactly, in whole nanoseconds; the yardstick's rounds are those of all its cases."""
    yardstick = next(iter(point.timings.values())).yardstick
    cases = {_name(key): [*map(_nanoseconds, (one.least, *one.rounds))] for key, one in point.timings.items()}
    lost = {_name(key): why for key, why in point.lost.items()}
    found = {
        "job": job,
        "process": number,
        "at": at,
        "load": point.load,
        "yardstick": [*map(_nanoseconds, yardstick)],
    }
    return {**found, "cases": cases, **({"lost": lost} if lost else {})}


def timings(line: Mapping[str, Any]) -> dict[str, Timing]:
    """Each operator of a process as its line has it."""
    yardstick = tuple(one * _NANO for one in line["yardstick"])
    return {
        name: Timing(tuple(one * _NANO for one in rounds), yardstick, least * _NANO)
        for name, (least, *rounds) in line["cases"].items()
    }


def _name(key: str) -> str:
    return key.partition("/")[0]


def _nanoseconds(seconds: float) -> int:
    return round(seconds / _NANO)
