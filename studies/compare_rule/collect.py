"""Collects what the rule is judged by: many processes of the same code, some operators made slower by real work.

A folder holds setup.json (what is measured, written once), points-<load>.jsonl and same-<load>.jsonl (a line a process,
in order); each call adds jobs to one of them. A job is as many processes as one comparison takes.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

import upsamplers
from studies.compare_rule.lines import POINTS, PROCESSES, SAME, SETUP, to_line
from studies.compare_rule.slowed import FILE
from upsampler_bench import plan
from upsampler_bench.case import Case
from upsampler_bench.compare.measuring import Corner, measure, settings
from upsampler_bench.compare.samples import STATISTICS, Point
from upsampler_bench.errors import PlanError
from upsampler_bench.runner import operators
from upsampler_bench.runner.scheduler import now
from upsampler_bench.storage import write_whole

OPERATORS = ("bilinear", "deconv", "pixel-shuffle", "carafe", "fade", "sapa-b", "dysample", "dysample-s+")
PERCENTS = (3, 5, 8, 10, 20)
CASE = Case("bilinear", channels=64, height=32, width=32)
ROUNDS = 8
QUIET, BUSY = "quiet", "busy"
# Small enough to stay in the nearest cache, so that the work costs the same wherever it is done.
ELEMENTS = 4096
# Operator, the slower one's name, elements of its buffer, passes over it.
Slowed = tuple[str, str, int, int]
LOADER = (
    "from pathlib import Path\nfrom studies.compare_rule.slowed import register_all\n"
    "register_all(Path(__file__).parent)\n"
)


def collect(folder: Path, jobs: int, load: str, say: Callable[[str], None], same: bool = False) -> int:
    """Adds jobs to a study.

    Args:
        folder: of the study; made where it is not there.
        jobs: how many more.
        load: QUIET, or BUSY with a synthetic neighbour.
        say: told a line a process.
        same: every operator as the gate times it, none with more to do: what counts false alarms alone.

    Returns:
        The number of whole jobs of that kind that are there now.

    Raises:
        PlanError: the folder holds a study of something else.
    """
    setup = _setup(folder)
    target = folder / f"{SAME if same else POINTS}-{load}.jsonl"
    begun = _next_job(target)
    with tempfile.TemporaryDirectory() as place, _neighbour(load, begun):
        take = partial(_gated, _gate_cases()) if same else partial(_measured, _corner(Path(place), setup["slowed"]))
        for job in range(begun, begun + jobs):
            for number in range(PROCESSES):
                clock = time.monotonic()
                point = take(seed=job * PROCESSES + number)
                with target.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(to_line(point, job, number, now())) + "\n")
                say(f"{load}, job {job}, process {number + 1} of {PROCESSES}: {time.monotonic() - clock:.1f} s")
    return begun + jobs


def _gate_cases() -> tuple[Case, ...]:
    """What a pull request is held against by default."""
    return plan.cases(plan.parse(plan.read("ci")), operators.names("cpu"), "cpu")


def _gated(cases: Sequence[Case], seed: int) -> Point:
    return measure(cases, Corner("the study"), "", settings(seed=seed))


def _corner(place: Path, slowed: Sequence[Slowed]) -> Corner:
    """Whose plug-in registers these operators."""
    (place / "slowed_loader.py").write_text(LOADER)
    (place / FILE).write_text(json.dumps(slowed))
    return Corner("the study", plugins=(str(place / "slowed_loader.py"),))


def _measured(corner: Corner, seed: int) -> Point:
    cases = [CASE.of(name) for one in OPERATORS for name in _variants(one)]
    return measure(cases, corner, "", replace(settings(ROUNDS), seed=seed))


def _variants(operator: str) -> list[str]:
    return [operator, *(f"{operator}~{percent}" for percent in PERCENTS)]


def _next_job(target: Path) -> int:
    """After the last whole job; the lines of one that was interrupted go."""
    lines = target.read_text(encoding="utf-8").splitlines() if target.exists() else []
    whole = len(lines) // PROCESSES
    if len(lines) % PROCESSES:
        write_whole(target, "".join(f"{one}\n" for one in lines[: whole * PROCESSES]).encode())
    return whole


def _setup(folder: Path) -> dict[str, Any]:
    known = {"operators": list(OPERATORS), "case": CASE.condition, "percents": list(PERCENTS), "rounds": ROUNDS}
    target = folder / SETUP
    if target.exists():
        found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
        other = [name for name, value in known.items() if found.get(name) != value]
        if other:
            raise PlanError(f"{target} is of another study ({', '.join(other)} differ); choose another folder")
        return found
    folder.mkdir(parents=True, exist_ok=True)
    made = {**known, "processes": PROCESSES, "begun": now(), "slowed": _corrected(_calibrated())}
    write_whole(target, json.dumps(made, indent=1).encode())
    return made


def _calibrated() -> list[Slowed]:
    """For each operator and percentage, how many passes over a small buffer take that long; the truth is scored."""
    torch.set_num_threads(1)
    slowed = []
    burden = torch.ones(ELEMENTS)
    with torch.inference_mode():
        one_pass = _quick(lambda: [burden.mul_(1.0) for _ in range(100)]) / 100
        for operator in OPERATORS:
            up = upsamplers.create(operator, CASE.channels, guide_channels=CASE.channels)
            inputs = up.example_inputs(1, CASE.height, CASE.width)
            takes = _quick(partial(up, *inputs))
            for percent in PERCENTS:
                passes = max(1, round(takes * percent / 100 / one_pass))
                slowed.append((operator, f"{operator}~{percent}", ELEMENTS, passes))
    return slowed


def _corrected(slowed: Sequence[Slowed]) -> list[Slowed]:
    """The passes scaled by what they took in two processes: beside other work they cost more than alone."""
    with tempfile.TemporaryDirectory() as place:
        points = [_measured(_corner(Path(place), slowed), seed) for seed in (1, 2)]

    def corrected(operator: str, name: str, elements: int, passes: int) -> Slowed:
        found = [
            STATISTICS["quartile"](one.timings[CASE.of(name).key])
            / STATISTICS["quartile"](one.timings[CASE.of(operator).key])
            for one in points
        ]
        asked = int(name.rpartition("~")[2]) / 100
        return operator, name, elements, max(1, round(passes * asked / max(median(found) - 1, asked / 3)))

    return [corrected(*one) for one in slowed]


def _quick(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(60):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[len(taken) // 4]


@contextlib.contextmanager
def _neighbour(load: str, seed: int) -> Iterator[None]:
    if load != BUSY:
        yield
        return
    child = subprocess.Popen([sys.executable, "-m", "studies.compare_rule.neighbour", str(seed)], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait(timeout=10)
