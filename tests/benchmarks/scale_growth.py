"""How a plan of thousands of cases grows: planned, measured in 64 shards by a fake device, merged, reported.

Prints a table of seconds, of the largest memory and of the sizes of files:

    python tests/benchmarks/scale_growth.py 1000 3000 10000
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parents[1] / "upsampler_bench"))

from fake_process import FakeProcess

from upsampler_bench import formats, plan, report, storage
from upsampler_bench.cluster.merge import merge
from upsampler_bench.runner import operators, pool, scheduler, session

T = TypeVar("T")
SHARDS = 64
MIB = 2**20
METRICS = ["latency", "params", "memory", "train_latency", "train_memory"]


class Silence:
    """Nobody watches."""

    def begin(self, cases: object, device: str = "") -> None: ...

    def update(self, message: object) -> None: ...

    def lost(self, case: object, reason: str) -> None: ...


def keys(cases: int) -> dict[str, object]:
    """A plan of about so many cases: sizes of the bare operators, forward and training."""
    sizes = -(-cases // (2 * len(operators.names("cpu"))))
    return {
        "name": "growth",
        "upsampler": ["*"],
        "shape": [f"64x{8 + place % 20}x{8 + place // 20}" for place in range(sizes)],
        "device": "cpu",
        "metrics": METRICS,
        "processes": 1,
    }


def measure(cases: int, folder: Path) -> dict[str, float]:
    """The columns of one row."""
    pool.Process = FakeProcess  # type: ignore[misc, assignment]
    row: dict[str, float] = {}

    def timed(column: str, work: Callable[[], T]) -> T:
        begun = time.perf_counter()
        result = work()
        row[column] = time.perf_counter() - begun
        return result

    parsed = plan.parse(keys(cases))
    whole = timed("plan (s)", lambda: session.prepare(parsed))
    row["cases"] = len(whole.cases)
    folders = [folder / f"shard-{number}" for number in range(1, SHARDS + 1)]

    def shards() -> None:
        for number, one in enumerate(folders, 1):
            ready = session.prepare(parsed, one, shard=f"{number}/{SHARDS}")
            if ready.cases:
                scheduler.run(ready, Silence())

    timed("64 shards (s)", shards)

    def merged() -> None:
        run, missing = merge({one: storage.load(one) for one in folders if (one / storage.FILE).exists()})
        assert not missing
        assert len(run.measurements) == len(whole.cases)
        storage.save(run, folder)

    timed("merge (s)", merged)
    content = timed("report (s)", lambda: report.from_run(storage.load(folder)))
    for name in ("csv", "markdown", "html", "png"):
        timed(f"{name} (s)", lambda name=name: formats.write(content, folder, [name]))  # type: ignore[misc]
    row["all (s)"] = sum(value for column, value in row.items() if column.endswith("(s)"))
    row["CPU (s)"] = time.process_time()
    row["memory (MiB)"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB
    row["results (MiB)"] = (folder / storage.FILE).stat().st_size / MIB
    row["page (MiB)"] = (folder / "report.html").stat().st_size / MIB
    return row


def main() -> None:
    """A process for each size, so that its memory is its own."""
    if len(sys.argv) == 1:
        sys.exit(__doc__)
    if sys.argv[1] == "one":
        for column, value in measure(int(sys.argv[2]), Path(sys.argv[3])).items():
            print(f"{column}\t{value}")
        return
    rows = []
    for size in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "one", size, folder]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            rows.append(dict(line.split("\t") for line in output.splitlines()))
    for column in rows[0]:
        print(f"{column:16s}" + "".join(f"{float(row[column]):>10,.{0 if column == 'cases' else 1}f}" for row in rows))


if __name__ == "__main__":
    main()
