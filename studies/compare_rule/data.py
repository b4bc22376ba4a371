"""A study's processes as comparisons: of the same code, and of operators with real extra work on one side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from studies.compare_rule import lines
from upsampler_bench.compare.comparison import LOOKS
from upsampler_bench.compare.samples import BASE, HEAD, Point, Timing
from upsampler_bench.errors import PlanError


@dataclass(frozen=True, slots=True)
class Job:
    """The processes of one comparison, alternating between two arms that run the same code.

    Attributes:
        load: "quiet" or "busy".
        number: its place in its file.
        processes: each operator's timing by name, slower ones as "carafe~5", in the order of measuring.
        spent: whether the rule was chosen on it, so that it cannot score it.
    """

    load: str
    number: int
    processes: tuple[Mapping[str, Timing], ...]
    spent: bool = False

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators that every process timed."""
        return tuple(one for one in self.processes[0] if "~" not in one and all(one in each for each in self.processes))

    @property
    def percents(self) -> tuple[int, ...]:
        """By how many per cent there are slower ones; none where only false alarms are counted."""
        return tuple(sorted({int(one.partition("~")[2]) for one in self.processes[0] if "~" in one}))

    def points(self, percent: int = 0) -> tuple[Point, ...]:
        """The job as a comparison: base, head, head, base, ...; the head's operators slower by so many per cent."""
        names = {one: f"{one}~{percent}" if percent else one for one in self.operators}
        return tuple(
            Point(arm, {one: timings[names[one] if arm == HEAD else one] for one in names if names[one] in timings})
            for arm, timings in zip(_arms(), self.processes, strict=False)
        )


@dataclass(frozen=True, slots=True)
class Study:
    """Everything in a study's folder."""

    case: str
    jobs: tuple[Job, ...]

    def under(self, load: str) -> tuple[Job, ...]:
        """The jobs measured under a load on which no rule was chosen."""
        return tuple(one for one in self.jobs if one.load == load and not one.spent)

    @property
    def spent(self) -> tuple[Job, ...]:
        """The jobs on which the rule was chosen."""
        return tuple(one for one in self.jobs if one.spent)


def joined(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """Comparisons taken to the end: as many consecutive jobs of a kind as hold the most processes; a rest is left."""
    found = []
    for _, each in groupby(jobs, key=lambda one: (one.load, one.spent, one.operators, one.percents)):
        alike = [*each]
        size = -(-2 * LOOKS[-1] // len(alike[0].processes))
        for place in range(0, len(alike) - size + 1, size):
            group = alike[place : place + size]
            found.append(replace(group[0], processes=tuple(one for job in group for one in job.processes)))
    return tuple(found)


def read(folder: Path) -> Study:
    """A study's folder.

    Raises:
        PlanError: there is none, or no whole job in it.
    """
    try:
        setup = json.loads((folder / lines.SETUP).read_text(encoding="utf-8"))
        files = [one for kind in (lines.POINTS, lines.SAME) for one in sorted(folder.glob(f"{kind}-*.jsonl"))]
        jobs = tuple(job for one in files for job in _jobs(one, setup))
    except (OSError, ValueError, KeyError) as problem:
        raise PlanError(f"no study in {folder}: {problem}; 'upsampler-bench study collect' makes one") from problem
    if not jobs:
        raise PlanError(f"no whole job in {folder} yet; 'upsampler-bench study collect' goes on")
    return Study(setup["case"], jobs)


def _jobs(path: Path, setup: Mapping[str, Any]) -> Iterator[Job]:
    """The whole jobs of a file; of "chosen_on" its load's first so many with slower operators are spent."""
    kind, _, load = path.stem.partition("-")
    size = setup["processes"]
    spent = setup.get("chosen_on", {}).get(load, 0) if kind == lines.POINTS else 0
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for number in range(len(found) // size):
        job = found[number * size : (number + 1) * size]
        yield Job(load, number, tuple(map(lines.timings, job)), number < spent)


def _arms() -> Iterator[str]:
    while True:
        yield from (BASE, HEAD, HEAD, BASE)
