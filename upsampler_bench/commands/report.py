"""report: redraw the report of stored runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench.commands.options import FORMATS, Formats
from upsampler_bench.commands.reporting import check_formats, tell


def report(
    results: Annotated[list[Path], typer.Argument(help="results.json files, or folders that hold one.")],
    formats: Formats = None,
    output_dir: Annotated[Path | None, typer.Option(help="Where to write; beside the first by default.")] = None,
) -> None:
    """Redraw the report of stored runs, several side by side; needs neither torch nor the device."""
    from upsampler_bench import storage

    check_formats(formats)
    found = [storage.load(one) for one in results]
    beside = results[0] if results[0].is_dir() else results[0].parent
    tell(found, output_dir or beside, formats or FORMATS)
