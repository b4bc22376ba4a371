"""Measures twice and shows how far the ratios to the baseline differ: `make repeat`.

Usage: python tests/benchmarks/bench_repeat.py [more flags of `upsampler-bench run`]
Exits 1 where an operator's latency ratio differs by 5 % or more, or the median over operators by 2 % or more.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from upsampler_bench import storage

WORST, TYPICAL = 0.05, 0.02


def ratios(folder: Path) -> dict[tuple[str, str], float]:
    """The ratio to the baseline by metric and operator."""
    run = storage.load(folder)
    found = {
        (reading.metric, one.case.upsampler): run.ratio(one.case, reading.metric)
        for one, reading in run.readings()
        if reading.metric in ("latency", "train_latency") and one.case.upsampler != run.settings.baseline
    }
    return {key: ratio.value for key, ratio in found.items() if ratio}


def main() -> int:
    """Prints a line an operator and the two figures that count."""
    runs = []
    with tempfile.TemporaryDirectory() as place:
        for number in (1, 2):
            folder = Path(place) / str(number)
            command = [sys.executable, "-m", "upsampler_bench", "run", "--output-dir", str(folder), "-f", "csv"]
            subprocess.run([*command, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
            runs.append(ratios(folder))
    one, two = runs
    fine = True
    for metric in ("latency", "train_latency"):
        differences = {key: two[key] / one[key] - 1 for key in one if key[0] == metric and key in two}
        for (_, name), difference in differences.items():
            print(f"{metric:14s} {name:16s} {one[metric, name]:8.3f} {two[metric, name]:8.3f}  {difference:+.2%}")
        sizes = [abs(one) for one in differences.values()]
        print(f"{metric:14s} worst {max(sizes):.2%}, median {median(sizes):.2%}")
        fine &= metric != "latency" or (max(sizes) < WORST and median(sizes) < TYPICAL)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
