"""profile: where the time of operators goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench.commands.options import (
    FORMATS,
    Batch,
    Device,
    Formats,
    Image,
    Model,
    OutputDir,
    Plugin,
    Resume,
    Shape,
    Threads,
    Timeout,
)

# Written besides the formats of every report.
TRACE = "trace"


def profile(
    upsampler: Annotated[list[str] | None, typer.Argument(help="Operators to profile. Default: all.")] = None,
    shape: Shape = None,
    batch: Batch = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="Data type: float32, float16, bfloat16 or float64. Repeat for more.")
    ] = None,
    mode: Annotated[list[str] | None, typer.Option(help="What to profile: inference or train.")] = None,
    model: Model = None,
    image: Image = None,
    device: Device = None,
    threads: Threads = None,
    timeout: Timeout = None,
    plugin: Plugin = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Compare two stored runs with profiles instead: BEFORE AFTER."),
    ] = None,
    output_dir: OutputDir = None,
    formats: Formats = None,
    resume: Resume = False,
) -> None:
    """Measure where the time of operators goes, operation by operation.

    On a GPU kernel by kernel. The same as `run --plan profile`.

    Exit codes: 0 fine, 2 misuse or nothing measured, 130 interrupted.
    """
    if compare is not None:
        from upsampler_bench import formats as rendering
        from upsampler_bench import storage
        from upsampler_bench.compare import profiles
        from upsampler_bench.errors import ResultsError

        changes = profiles.changes(*(storage.load(path) for path in compare))
        if not changes.profiles:
            raise ResultsError("no case was profiled in both runs; `upsampler-bench profile` makes such runs")
        typer.echo(rendering.render("terminal", changes))
        return
    from upsampler_bench.commands.measuring import perform

    keys = {
        "upsampler": upsampler,
        "shape": shape,
        "batch": batch,
        "dtype": dtype,
        "mode": mode,
        "model": model,
        "image": image,
        "device": device,
        "threads": threads,
        "timeout": timeout,
        "plugin": plugin,
    }
    perform("profile", keys, output_dir, formats or [*FORMATS, TRACE], resume=resume)
