"""collect: wait for submitted shards, merge them, report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from upsampler_bench.commands import merge, reporting
from upsampler_bench.commands.console import console
from upsampler_bench.commands.exit_codes import FAILED, FINE
from upsampler_bench.commands.options import Formats
from upsampler_bench.commands.status import Folder, table

if TYPE_CHECKING:
    from upsampler_bench.cluster.jobs import State


def collect(
    folder: Folder,
    formats: Formats = None,
    poll: Annotated[float, typer.Option(help="Seconds between two status checks.", min=0.1)] = 30.0,
) -> None:
    """Wait for the submitted shards, merge their runs into the folder, report.

    Ctrl-C ends the waiting alone; the jobs go on.

    Exit codes: 0 all is there, 1 conditions are missing, 2 misuse or nothing
    measured, 130 interrupted.
    """
    from upsampler_bench.cluster import jobs

    reporting.check_formats(formats)
    submitted, messages = jobs.load(folder), console(stderr=True)

    def show(states: Mapping[str, State]) -> None:
        for line in [*table(submitted, folder, states), ""]:
            messages.print(line, soft_wrap=True)

    jobs.wait(submitted, folder, poll, show)
    run, missing = merge.write(submitted.folders(folder), folder)
    reporting.report([run], folder, formats)
    raise typer.Exit(FAILED if missing else FINE)
