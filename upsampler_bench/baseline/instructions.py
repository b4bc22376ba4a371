"""Counts the instructions that the CPU executes in one forward, under valgrind's callgrind in a process of its own.

Callgrind shows every program the same CPU, whichever it runs on, so that libraries choose the same kernels. Counts
still differ a little from process to process (addresses and hashes differ): they are compared within a tolerance.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from upsampler_bench.baseline import forwards
from upsampler_bench.case import Case, Settings
from upsampler_bench.errors import MissingPackage, NothingMeasured

TIME_LIMIT = 900.0
TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)
FLAGS = ("--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no")


@dataclass(frozen=True, slots=True)
class Instructions:
    """What was counted.

    Attributes:
        by_operator: instructions of one forward, the median of some.
        versions: of what the counts depend on, and the shape that they are of.
        lost: why operators have none, by name.
    """

    by_operator: dict[str, int]
    versions: dict[str, str]
    lost: dict[str, str]


def check() -> None:
    """Refuses where callgrind is not there.

    Raises:
        MissingPackage: naming what to install.
    """
    if any(shutil.which(program) is None for program in ("valgrind", "callgrind_control")):
        raise MissingPackage("--instructions needs valgrind, which is not on PATH: apt install valgrind")


def count(names: Sequence[str], plugins: Sequence[str], case: Case, settings: Settings) -> Instructions:
    """Counts every operator in one process, which takes a minute: nearly all of it is the start of torch.

    Raises:
        MissingPackage: valgrind is not there.
        NothingMeasured: its process did not come to an end.
    """
    check()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = {"names": names, "plugins": plugins, "case": asdict(case), "settings": asdict(settings)}
        (folder / forwards.REQUEST).write_text(json.dumps(request), encoding="utf-8")
        reason = _run(folder)
        answer = folder / forwards.ANSWER
        if not answer.exists():
            raise NothingMeasured(f"no instructions counted: callgrind {reason or 'left nothing'}")
        found = _read(json.loads(answer.read_text(encoding="utf-8")), folder)
        return replace(found, versions=found.versions | {"valgrind": _version(), "shape": case.condition})


def _run(folder: Path) -> str:
    """Runs the forwards under callgrind; why they did not come to an end, or ""."""
    where = f"--callgrind-out-file={folder / 'counts'}"
    command = ["valgrind", *FLAGS, where, sys.executable, "-m", forwards.__name__, str(folder)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        return f"was not done after {TIME_LIMIT:.0f} s"
    last = [line for line in ended.stderr.splitlines() if line.strip() and not line.startswith("==")][-1:]
    return f"ended with {ended.returncode}: {' '.join(last)[:200]}" if ended.returncode else ""


def _read(answer: dict[str, Any], folder: Path) -> Instructions:
    counts = list(_dumps(folder))
    several = {
        name: counts[place * forwards.COUNTED :][: forwards.COUNTED] for place, name in enumerate(answer["counted"])
    }
    found = {name: int(median(some)) for name, some in several.items() if some and min(some) > 0}
    nothing = {name: "callgrind counted nothing" for name in several if name not in found}
    return Instructions(found, answer["versions"], nothing)


def _dumps(folder: Path) -> Iterator[int]:
    """The totals that callgrind wrote, one a forward, in their order."""
    files = sorted(folder.glob("counts.*"), key=lambda path: int(path.suffix[1:]))
    for one in files:
        match = TOTALS.search(one.read_text(encoding="utf-8", errors="replace"))
        yield int(match[1]) if match else 0


def _version() -> str:
    said = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=False).stdout
    return said.strip().removeprefix("valgrind-")
