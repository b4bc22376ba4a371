"""export: write a stored run in the format of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench import storage
from upsampler_bench.commands.console import console
from upsampler_bench.errors import PlanError
from upsampler_bench.export import names


def export(
    results: Annotated[Path, typer.Argument(help="A results.json, or a folder that contains one.")],
    to: Annotated[
        list[str] | None, typer.Option("--to", "-t", help=f"Format to write: {', '.join(names())}. Repeat for several.")
    ] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Output folder; that of the results by default.")] = None,
) -> None:
    """Write a stored run in the format of another tool: a CI, a dashboard, ...

    Exit codes: 0 fine, 2 misuse.
    """
    from upsampler_bench import export
    from upsampler_bench.export import _values

    if not to:
        raise PlanError(f"--to is missing: it names the format to write, one of {', '.join(export.names())}")
    for name in to:
        export.get(name)
    run = storage.load(results)
    missing = _values.without_values(run)
    if len(missing) == len(run.measurements) and "junit" not in to:
        raise PlanError(f"{results} has no values to export; only --to junit lists its cases")
    for path in export.write(run, output_dir or (results if results.is_dir() else results.parent), to):
        print(path)
    if missing:
        console(stderr=True).print(
            f"{len(missing)} of {len(run.measurements)} cases have no values; only the junit export lists them",
            soft_wrap=True,
        )
