"""The data of the study: samples as lines of JSON, and jobs, each of as many samples as one comparison takes.

A folder holds setup.json (what is measured) and, a line per process, points-<load>.jsonl (some operators, each also
slowed) and same-<load>.jsonl (all operators as they are).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, groupby
from pathlib import Path
from typing import Any

from upsampler_bench.compare.rule import LOOKS
from upsampler_bench.compare.samples import BASE, HEAD, Sample, Timing
from upsampler_bench.errors import PlanError

SETUP, SLOWED, SAME = "setup.json", "points", "same"
# Two sides of a first look.
PROCESSES = 2 * LOOKS[0]
NANOSECOND = 1e-9
COLLECT = "'python -m studies.compare_rule collect'"


@dataclass(frozen=True, slots=True)
class Job:
    """The processes of one comparison, alternating between two sides that run the same code.

    Attributes:
        load: "quiet" or "busy".
        processes: each operator's timing by name, slowed ones as "carafe~5", in the order of measuring.
        chosen_on: whether the rule was chosen on it, so that it cannot score the rule.
    """

    load: str
    processes: tuple[Mapping[str, Timing], ...]
    chosen_on: bool = False

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators that every process timed."""
        names = [name for name in self.processes[0] if "~" not in name]
        return tuple(name for name in names if all(name in timings for timings in self.processes))

    @property
    def percents(self) -> tuple[int, ...]:
        """By how many per cent operators were slowed."""
        return tuple(sorted({int(name.partition("~")[2]) for name in self.processes[0] if "~" in name}))

    def samples(self, percent: int = 0) -> tuple[Sample, ...]:
        """The job as a comparison: base, head, head, base, ...; the head's operators slowed by this many per cent."""
        samples = []
        for side, timings in zip(cycle((BASE, HEAD, HEAD, BASE)), self.processes, strict=False):
            suffix = f"~{percent}" if percent and side == HEAD else ""
            timed = {name: timings[name + suffix] for name in self.operators if name + suffix in timings}
            samples.append(Sample(side, timed))
        return tuple(samples)


@dataclass(frozen=True, slots=True)
class Study:
    """Everything in a folder."""

    case: str
    jobs: tuple[Job, ...]


def read(folder: Path) -> Study:
    """The study in a folder.

    Raises:
        PlanError: there is none, or it has no complete job.
    """
    jobs: list[Job] = []
    try:
        setup = json.loads((folder / SETUP).read_text(encoding="utf-8"))
        for kind in (SLOWED, SAME):
            for path in sorted(folder.glob(f"{kind}-*.jsonl")):
                jobs += _jobs(path, setup)
    except (OSError, ValueError, KeyError) as problem:
        raise PlanError(f"no study in {folder}: {problem}; create one with {COLLECT}") from problem
    if not jobs:
        raise PlanError(f"no complete job in {folder}; add one with {COLLECT}")
    return Study(setup["case"], tuple(jobs))


def _jobs(path: Path, setup: Mapping[str, Any]) -> Iterator[Job]:
    """The complete jobs of a file; the rule was chosen on the first ones with slowed operators ("chosen_on")."""
    kind, _, load = path.stem.partition("-")
    chosen_on = setup.get("chosen_on", {}).get(load, 0) if kind == SLOWED else 0
    lines = path.read_text(encoding="utf-8").splitlines()
    size = setup["processes"]
    for number in range(len(lines) // size):
        job = lines[number * size : (number + 1) * size]
        yield Job(load, tuple(timings(json.loads(line)) for line in job), number < chosen_on)


def joined(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """Comparisons with all their looks: consecutive jobs of a kind, as many as hold the most processes."""
    comparisons = []
    for _, alike in groupby(jobs, key=lambda job: (job.load, job.chosen_on, job.operators, job.percents)):
        kind = list(alike)
        size = -(-2 * LOOKS[-1] // len(kind[0].processes))
        for start in range(0, len(kind) - size + 1, size):
            processes = [timings for job in kind[start : start + size] for timings in job.processes]
            comparisons.append(replace(kind[start], processes=tuple(processes)))
    return tuple(comparisons)


def to_line(sample: Sample, job: int, number: int, at: str) -> dict[str, Any]:
    """A sample in whole nanoseconds; per case the fastest call, then the rounds."""
    cases = {}
    for key, timing in sample.timings.items():
        cases[key.partition("/")[0]] = [_nanoseconds(value) for value in (timing.fastest, *timing.rounds)]
    line = {"job": job, "process": number, "at": at, "cases": cases}
    if sample.lost:
        line["lost"] = {key.partition("/")[0]: reason for key, reason in sample.lost.items()}
    return line


def timings(line: Mapping[str, Any]) -> dict[str, Timing]:
    """Each operator's timing of such a line."""
    timed = {}
    for name, (fastest, *rounds) in line["cases"].items():
        timed[name] = Timing(tuple(value * NANOSECOND for value in rounds), fastest * NANOSECOND)
    return timed


def _nanoseconds(seconds: float) -> int:
    return round(seconds / NANOSECOND)
