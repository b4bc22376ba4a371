"""capabilities: test what works on each operator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench.commands.measuring import perform
from upsampler_bench.commands.options import (
    TEXTS,
    Device,
    Formats,
    Plugin,
    Resume,
    Shape,
    Threads,
    Upsampler,
)

# Options of a command that are no keys of a plan.
OWN = ("plan", "output_dir", "formats", "resume", "strict", "again")


def capabilities(
    upsampler: Upsampler = None,
    shape: Shape = None,
    metrics: Annotated[list[str] | None, typer.Option(help="Only these, e.g. bfloat16 or onnx_export.")] = None,
    device: Device = None,
    threads: Threads = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that one may hang.")] = None,
    plugin: Plugin = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where to write; reports/<device>/capabilities by default.")
    ] = None,
    formats: Formats = None,
    resume: Resume = False,
) -> None:
    """Try what works on each operator (dtypes, layouts, sizes, compilers, ONNX), print the matrix.

    The same as `run --plan capabilities`: a "no" has its reason below the matrix. Exit codes: 0 fine, 2 misuse or
    nothing tried, 130 interrupted.
    """
    given = dict(locals())
    flags = {key: value for key, value in given.items() if key not in OWN and value is not None}
    perform("capabilities", flags, output_dir, formats or TEXTS, resume=resume)
