"""The instrument: measures feature upsamplers and compares them.

    run = upsampler_bench.run(upsamplers=["bilinear", "dysample*"], shape=(256, 120, 120))
    upsampler_bench.to_frame(run)

Importing this package loads neither torch nor pandas; measuring does.
"""

import os
import sys

if sys.argv[:1] == ["-m"] and __name__ in sys.orig_argv:  # `python -m upsampler_bench`: Python begins with this file
    # The current folder, where a random.py or a torch.py may lie, is searched last, or not at all if this is elsewhere.
    folder = sys.path.pop(0) if sys.path and not getattr(sys.flags, "safe_path", False) else ""
    if folder == os.path.dirname(os.path.dirname(__file__)):
        sys.path.append(folder)

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upsampler_bench.errors import BenchError
from upsampler_bench.results import Measurement, Reading, Run
from upsampler_bench.storage import load, save, to_frame

__all__ = ["BenchError", "Measurement", "Reading", "Run", "load", "run", "save", "to_frame", "write_report"]


def run(
    upsamplers: str | Sequence[str] = ("*",),
    shape: str | Sequence[int] | Sequence[str | Sequence[int]] = (256, 120, 120),
    *,
    output_dir: str | Path | None = None,
    progress: bool = False,
    **keys: Any,
) -> Run:
    """Measures operators and returns what was measured.

    Args:
        upsamplers: names or shell wildcards; the baseline ("bilinear") is measured too.
        shape: (C, H, W) of the low-resolution feature, or "CxHxW", or several.
        output_dir: the folder of results.json, which is written as the run goes on; None: nothing is written.
        progress: show the progress on standard error.
        keys: any other key of a plan: backend, scale, batch, dtype, layout, mode, device, threads, seed, budget,
            metrics, max_time, target_ci, processes, ...

    Raises:
        PlanError, DeviceError, OutputError: the run cannot begin.
        NothingMeasured: there is not a single reading of these operators.
    """
    from rich.console import Console

    from upsampler_bench import plan
    from upsampler_bench.commands.measuring import measure
    from upsampler_bench.runner import session

    is_one = isinstance(shape, str) or all(isinstance(size, int) for size in shape)
    shapes = [shape] if is_one else list(shape)
    names = [upsamplers] if isinstance(upsamplers, str) else list(upsamplers)
    ready = session.prepare(plan.parse({"upsampler": names, "shape": shapes, **keys}), output_dir)
    return measure(ready, Console(stderr=True, quiet=not progress))


def write_report(run: Run, folder: str | Path, formats: str | Sequence[str] = ("csv", "markdown", "png")) -> list[Path]:
    """Writes a run's report in these formats into a folder, and returns the files.

    Raises:
        PlanError: there is no such format.
        MissingPackage: a format needs a package that is not installed.
        OutputError: the folder cannot be written.
    """
    from upsampler_bench import formats as all_formats
    from upsampler_bench import report

    chosen = [formats] if isinstance(formats, str) else formats
    return all_formats.write(report.from_run(run), folder, chosen)
