"""A history of runs, a line a run: ratios to the baseline, which hold from night to night, and where they changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from upsampler_bench.case import TIMED
from upsampler_bench.errors import OutputError, PlanError
from upsampler_bench.results import Run


@dataclass(frozen=True, slots=True)
class Entry:
    """One run.

    Attributes:
        when: as ISO 8601.
        commit: what was measured; empty where it is not known.
        device, torch, condition: only entries that agree in these and in the threads are drawn as one line.
        ratios: of each operator's latency to the baseline's: value, low and high of its 95 % interval.
    """

    when: str
    commit: str
    device: str
    torch: str
    threads: int
    condition: str
    baseline: str
    ratios: dict[str, tuple[float, float, float]]

    @property
    def series(self) -> tuple[str, ...]:
        """What entries of one line share."""
        return self.device, self.torch, str(self.threads), self.condition, self.baseline

    @property
    def words(self) -> str:
        """The same, for people."""
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        return f"{self.device}, torch {self.torch}, {threads}, {self.condition}, over {self.baseline}"


def entries(run: Run, commit: str = "") -> list[Entry]:
    """What a run adds to a history: an entry a condition that was timed.

    Raises:
        PlanError: the run has no ratio to a baseline.
    """
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for measurement, reading in run.readings():
        ratio = run.ratio(measurement.case, reading.metric) if reading.metric in TIMED.values() else None
        if ratio:
            values = (ratio.value, ratio.low, ratio.high)
            found.setdefault(measurement.case.group, {})[measurement.case.upsampler] = values
    if not found:
        raise PlanError("this run has no latency relative to a baseline; a history is made of these ratios")
    where, settings = run.environment, run.settings
    versions = where.versions.get("torch", "")
    return [
        Entry(
            run.finished or run.started,
            commit,
            where.device_name,
            versions,
            settings.threads,
            group,
            settings.baseline,
            one,
        )
        for group, one in found.items()
    ]


def add(path: Path, new: Sequence[Entry]) -> int:
    """Appends entries; one of the same moment and condition is there already and is left as it is.

    Returns:
        How many lines the history has now.

    Raises:
        OutputError: the file cannot be written.
        PlanError: it is no history.
    """
    known = read(path) if path.exists() else []
    there = {(one.when, *one.series) for one in known}
    fresh = [one for one in new if (one.when, *one.series) not in there]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as out:
            out.writelines(json.dumps(asdict(one)) + "\n" for one in fresh)
    except OSError as problem:
        raise OutputError(f"cannot write {path}: {problem.strerror or problem}") from problem
    return len(known) + len(fresh)


def read(path: Path) -> list[Entry]:
    """A history, oldest first.

    Raises:
        PlanError: there is none, or a line of it is broken.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as problem:
        raise PlanError(f"no history {path}; 'upsampler-bench history add' makes one") from problem
    found = [_entry(path, number, line) for number, line in enumerate(lines, start=1)]
    return sorted(found, key=lambda one: one.when)


def lines(found: Sequence[Entry]) -> list[list[Entry]]:
    """The entries that can be drawn as one line each, in the order of their first."""
    made: dict[tuple[str, ...], list[Entry]] = {}
    for one in found:
        made.setdefault(one.series, []).append(one)
    return list(made.values())


def having(line: Sequence[Entry], name: str) -> list[Entry]:
    """Those of a line in which an operator was timed."""
    return [one for one in line if name in one.ratios]


def _entry(path: Path, number: int, line: str) -> Entry:
    try:
        one = json.loads(line)
        return Entry(**{**one, "ratios": {name: tuple(value) for name, value in one["ratios"].items()}})
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        raise PlanError(f"{path}, line {number}, is no entry of a history: {problem}") from problem
