"""Collects jobs: many processes of the same code, some operators slowed by real work."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

import upsamplers
from studies.compare_rule.data import PROCESSES, SAME, SETUP, SLOWED, to_line
from studies.compare_rule.rules import STATISTICS
from studies.compare_rule.slowed import FILE
from upsampler_bench import plan
from upsampler_bench.case import Case
from upsampler_bench.compare.process import Side, measure, settings
from upsampler_bench.compare.samples import Sample
from upsampler_bench.errors import PlanError
from upsampler_bench.runner import operators
from upsampler_bench.runner.scheduler import now
from upsampler_bench.storage import write_whole

OPERATORS = ("bilinear", "deconv", "pixel-shuffle", "carafe", "fade", "sapa-b", "dysample", "dysample-s+")
PERCENTS = (3, 5, 8, 10, 20)
CASE = Case("bilinear", channels=64, height=32, width=32)
ROUNDS = 8
QUIET, BUSY = LOADS = "quiet", "busy"
# Elements of the buffer that a slowed operator multiplies: it stays in the nearest cache, so that the work costs the
# same everywhere.
ELEMENTS = 4096
# Operator, the slowed one's name, elements of its buffer, passes over it.
SlowedOperator = tuple[str, str, int, int]
LOADER = (
    "from pathlib import Path\nfrom studies.compare_rule.slowed import register_all\n"
    "register_all(Path(__file__).parent)\n"
)


def collect(folder: Path, jobs: int, load: str, same: bool = False) -> int:
    """Adds jobs to a folder and prints a line per process; an incomplete last job is measured again.

    Args:
        folder: created if missing.
        jobs: how many to add.
        load: QUIET, or BUSY with a synthetic neighbour.
        same: every operator as `compare --base` times it, none slowed.

    Returns:
        The number of complete jobs of that kind.

    Raises:
        PlanError: the folder holds a study of other operators, sizes or percentages.
    """
    setup = _setup(folder)
    target = folder / f"{SAME if same else SLOWED}-{load}.jsonl"
    lines = target.read_text(encoding="utf-8").splitlines() if target.exists() else []
    first = len(lines) // PROCESSES
    write_whole(target, "".join(f"{line}\n" for line in lines[: first * PROCESSES]).encode())
    with tempfile.TemporaryDirectory() as plugins, _neighbour(load, first):
        sample = _measure_all if same else partial(_measure_slowed, Path(plugins), setup["slowed"])
        for job in range(first, first + jobs):
            for number in range(PROCESSES):
                begun = time.monotonic()
                line = to_line(sample(seed=job * PROCESSES + number), job, number, now())
                with target.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                seconds = time.monotonic() - begun
                print(f"{load}, job {job}, process {number + 1} of {PROCESSES}: {seconds:.1f} s", file=sys.stderr)
    return first + jobs


def _measure_all(seed: int) -> Sample:
    cases = plan.cases(plan.parse(plan.read("ci")), operators.names("cpu"), "cpu")
    return measure(cases, Side("the study"), "", settings(seed=seed))


def _measure_slowed(plugins: Path, slowed: Sequence[SlowedOperator], seed: int) -> Sample:
    (plugins / "slowed_loader.py").write_text(LOADER)
    (plugins / FILE).write_text(json.dumps(slowed))
    names = [name for operator in OPERATORS for name in (operator, *(f"{operator}~{percent}" for percent in PERCENTS))]
    side = Side("the study", plugins=(str(plugins / "slowed_loader.py"),))
    return measure([CASE.of(name) for name in names], side, "", settings(ROUNDS, seed=seed))


def _setup(folder: Path) -> dict[str, Any]:
    expected = {"operators": list(OPERATORS), "case": CASE.condition, "percents": list(PERCENTS), "rounds": ROUNDS}
    path = folder / SETUP
    if path.exists():
        setup: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name, value in expected.items() if setup.get(name) != value]
        if differing:
            raise PlanError(f"{path} is of another study ({', '.join(differing)} differ); choose another folder")
        return setup
    setup = {**expected, "processes": PROCESSES, "begun": now(), "slowed": _corrected(_calibrated())}
    write_whole(path, json.dumps(setup, indent=1).encode())
    return setup


def _calibrated() -> list[SlowedOperator]:
    """For each operator and percentage, how many passes over the buffer take that long."""
    torch.set_num_threads(1)
    buffer = torch.ones(ELEMENTS)
    slowed = []
    with torch.inference_mode():
        one_pass = _lower_quartile_time(lambda: [buffer.mul_(1.0) for _ in range(100)]) / 100
        for name in OPERATORS:
            operator = upsamplers.create(name, CASE.channels, guide_channels=CASE.channels)
            inputs = operator.example_inputs(1, CASE.height, CASE.width)
            seconds = _lower_quartile_time(partial(operator, *inputs))
            for percent in PERCENTS:
                passes = max(1, round(seconds * percent / 100 / one_pass))
                slowed.append((name, f"{name}~{percent}", ELEMENTS, passes))
    return slowed


def _corrected(slowed: Sequence[SlowedOperator]) -> list[SlowedOperator]:
    """The passes scaled by what they took in two processes: next to other work they cost more than alone."""
    with tempfile.TemporaryDirectory() as plugins:
        samples = [_measure_slowed(Path(plugins), slowed, seed) for seed in (1, 2)]
    quartile = STATISTICS["quartile"]
    corrected = []
    for operator, name, elements, passes in slowed:
        timings = [(sample.timings[CASE.of(name).key], sample.timings[CASE.of(operator).key]) for sample in samples]
        extra = median(quartile(slow) / quartile(plain) for slow, plain in timings) - 1
        intended = int(name.rpartition("~")[2]) / 100
        corrected.append((operator, name, elements, max(1, round(passes * intended / max(extra, intended / 3)))))
    return corrected


def _lower_quartile_time(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(60):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return sorted(seconds)[len(seconds) // 4]


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
