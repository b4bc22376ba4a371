"""How often the 95 % interval of one run contains the ratio of another.

Runs five times (or compares stored runs) and prints a table, for intervals between processes, of which 91 % contain
another run's ratio if processes alone differ (three each), and for those within the first process of each run:

    python tests/benchmarks/interval_coverage.py -u 'dysample*' -u carafe --mode inference --max-time 3
    python tests/benchmarks/interval_coverage.py runs/coverage-*
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice, permutations
from pathlib import Path

from upsampler_bench import storage
from upsampler_bench.case import TIMED
from upsampler_bench.results import Measurement, Run
from upsampler_bench.stats import Estimate

RUNS = 5


def measured(flags: Sequence[str]) -> list[Path]:
    """The folders of five runs with these flags of `upsampler-bench run`, one after the other."""
    free = (folder for number in count(1) if not (folder := storage.RUNS / f"coverage-{number}").exists())
    folders = list(islice(free, RUNS))
    for folder in folders:
        command = [sys.executable, "-m", "upsampler_bench", "run", "-f", "csv", "--output-dir", str(folder), *flags]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folders


def in_first_process(run: Run) -> Run:
    """The run as if its first process had been the only one."""

    def alone(measurement: Measurement) -> Measurement:
        return replace(measurement, readings=tuple(reading.of_first(1) for reading in measurement.readings))

    return replace(run, measurements=tuple(map(alone, run.measurements)))


def pairs(ratios: Sequence[Estimate]) -> Iterator[bool]:
    """For each two runs, in both directions, whether the interval of one contains the ratio of the other."""
    return (one.low <= other.value <= one.high for one, other in permutations(ratios, 2))


def main() -> None:
    """Prints a row per case, and the share over all of them."""
    arguments = sys.argv[1:]
    is_stored = bool(arguments) and all((Path(one) / storage.FILE).exists() for one in arguments)
    runs = [storage.load(folder) for folder in (arguments if is_stored else measured(arguments))]
    kinds = {"all processes": runs, "first process": [in_first_process(run) for run in runs]}
    everywhere: dict[str, list[bool]] = {name: [] for name in kinds}
    for one in runs[0].measurements:
        metric = TIMED.get(one.case.mode, "")
        if one.case == runs[0].baseline_of(one.case) or not one.reading(metric):
            continue
        cells = []
        for name, kind in kinds.items():
            ratios = [ratio for run in kind if (ratio := run.ratio(one.case, metric))]
            contained = list(pairs(ratios))
            everywhere[name] += contained
            intervals = " ".join(f"{ratio.value:.3f} ({ratio.low:.3f}-{ratio.high:.3f})" for ratio in ratios)
            cells.append(f"{name} {sum(contained)}/{len(contained)}: {intervals}")
        print(f"{one.case.key}\n  " + "\n  ".join(cells))
    for name, contained in everywhere.items():
        if contained:
            print(f"{name}: {sum(contained)} of {len(contained)} = {sum(contained) / len(contained):.0%}")


if __name__ == "__main__":
    main()
