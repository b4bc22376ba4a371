"""A study's processes as comparisons: of the same code, and of operators with real extra work on one side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upsampler_bench.errors import PlanError
from upsampler_bench.verdicts.points import BASE, HEAD, Point, Timing

SETUP = "setup.json"
NANO = 1e-9


@dataclass(frozen=True, slots=True)
class Job:
    """The processes of one comparison, alternating between two arms that run the same code.

    Attributes:
        load: "quiet" or "busy".
        number: its place in the study.
        spent: whether the rule was chosen on it, so that it cannot score it.
        processes: each operator's timing by name, slower ones as "carafe~5", in the order of measuring.
    """

    load: str
    number: int
    processes: tuple[Mapping[str, Timing], ...]
    spent: bool = False

    def points(self, operators: Sequence[str], percent: int = 0) -> tuple[Point, ...]:
        """The job as a comparison: base, head, head, base, ...; the head's operators slower by so many per cent."""
        names = {one: f"{one}~{percent}" if percent else one for one in operators}
        return tuple(
            Point(arm, {one: timings[names[one] if arm == HEAD else one] for one in operators if names[one] in timings})
            for arm, timings in zip(_arms(), self.processes, strict=False)
        )


@dataclass(frozen=True, slots=True)
class Study:
    """Everything in a study's folder."""

    operators: tuple[str, ...]
    percents: tuple[int, ...]
    case: str
    jobs: tuple[Job, ...]

    def under(self, load: str) -> tuple[Job, ...]:
        """The jobs measured under a load on which no rule was chosen."""
        return tuple(one for one in self.jobs if one.load == load and not one.spent)

    @property
    def spent(self) -> tuple[Job, ...]:
        """The jobs on which the rule was chosen."""
        return tuple(one for one in self.jobs if one.spent)


def read(folder: Path) -> Study:
    """A study's folder.

    Raises:
        PlanError: there is none, or no whole job in it.
    """
    try:
        setup = json.loads((folder / SETUP).read_text(encoding="utf-8"))
        files = sorted(folder.glob("points-*.jsonl"))
        jobs = tuple(job for one in files for job in _jobs(one, setup))
    except (OSError, ValueError, KeyError) as problem:
        raise PlanError(f"no study in {folder}: {problem}; 'upsampler-bench study collect' makes one") from problem
    if not jobs:
        raise PlanError(f"no whole job in {folder} yet; 'upsampler-bench study collect' goes on")
    return Study(tuple(setup["operators"]), tuple(setup["percents"]), setup["case"], jobs)


def _jobs(path: Path, setup: Mapping[str, Any]) -> Iterator[Job]:
    """The whole jobs of a file; of "chosen_on" its load's first so many are spent."""
    load, size = path.stem.removeprefix("points-"), setup["processes"]
    spent = setup.get("chosen_on", {}).get(load, 0)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for number in range(len(lines) // size):
        found = lines[number * size : (number + 1) * size]
        yield Job(load, number, tuple(timings(one) for one in found), number < spent)


def timings(line: Mapping[str, Any]) -> dict[str, Timing]:
    """Each operator of a process as its line has it."""
    yardstick = tuple(one * NANO for one in line["yardstick"])
    return {
        name: Timing(tuple(one * NANO for one in rounds), yardstick, least * NANO)
        for name, (least, *rounds) in line["cases"].items()
    }


def _arms() -> Iterator[str]:
    while True:
        yield from (BASE, HEAD, HEAD, BASE)
