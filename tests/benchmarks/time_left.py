"""Compares the time that commands say they take, before and while they run, with the time they then take.

    python tests/benchmarks/time_left.py            # make bench, paper, run --budget 60: half an hour
    python tests/benchmarks/time_left.py --small    # the same at a small shape, without paper: a few minutes

Prints for each command what was said before it ran and how long it took, and for each "left" how many times too much it
was. From a quarter of the time on these are to be between 0.67 and 1.5.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from itertools import pairwise

LEFT = re.compile(r"about ([\d.]+) (s|min) left")
BEFORE = re.compile(r"about [\d.]+ (?:s|min)[,;].*")
COMMANDS = {
    "make bench": ["run", "--plan", "paper"],
    "paper": ["paper", "--again"],
    "run --budget 60": ["run", "--budget", "60"],
}
SMALL = {
    "make bench, small": ["run", "--plan", "paper", "--shape", "64x32x32", "--max-time", "1"],
    "run --budget 60, small": ["run", "--budget", "60", "--shape", "64x32x32"],
}


def follow(arguments: list[str]) -> tuple[list[tuple[float, str]], float]:
    """What a command prints on standard error, with the seconds since its start, and how long it takes."""
    command = [sys.executable, "-m", "upsampler_bench", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        process = subprocess.Popen(
            [*command, "--output-dir", folder],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "COLUMNS": "200"},
            text=True,
        )
        assert process.stderr is not None
        lines = [(time.monotonic() - begun, line) for line in process.stderr]
        process.wait()
        return lines, time.monotonic() - begun


def main() -> None:
    for name, arguments in (SMALL if "--small" in sys.argv else COMMANDS).items():
        lines, taken = follow(arguments)
        before = next((match[0] for _, line in lines if (match := BEFORE.search(line))), "nothing")
        print(f"{name}: {taken:.0f} s; said before: {before}")
        print(f"  longest silence: {max(later - sooner for (sooner, _), (later, _) in pairwise(lines)):.0f} s")
        for when, line in lines:
            if match := LEFT.search(line):
                left = float(match[1]) * (60 if match[2] == "min" else 1)
                print(f"  at {when / taken:4.0%}: {left:4.0f} s left, {left / (taken - when):.2f} of the truth")


if __name__ == "__main__":
    main()
