"""report: write the report of stored runs again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench import storage
from upsampler_bench.commands import reporting
from upsampler_bench.commands.options import Formats
from upsampler_bench.errors import ResultsError


def report(
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Stored runs: results.json files or their folders. Default: the newest in runs/."),
    ] = None,
    formats: Formats = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Folder to write to. Default: that of the run; of several runs a new folder in runs/."),
    ] = None,
) -> None:
    """Write the report of stored runs again, without torch or the device."""

    reporting.check_formats(formats)
    if results:
        runs = [storage.load(path) for path in results]
        folder = results[0] if results[0].is_dir() else results[0].parent
        if output_dir is None and len(runs) > 1:
            output_dir = storage.new_folder("report")
    else:
        newest = storage.newest_run(storage.RUNS)
        if newest is None:
            raise ResultsError(f"no stored run in {storage.RUNS}/; name one, such as {storage.REPORTS}/<device>")
        folder, runs = newest[0], [newest[1]]
    reporting.report(runs, output_dir or folder, formats)
