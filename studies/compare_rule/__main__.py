"""study: how often the comparison cries wolf on this machine, and what it finds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench.commands.console import console
from upsampler_bench.commands.exit_codes import INTERRUPTED

app = typer.Typer(no_args_is_help=True, help="Measure the false-alarm rate and the power of compare on this machine.")
FOLDER = Path("reports/study")
Folder = Annotated[Path, typer.Option(help="Of the study.")]


@app.command()
def collect(
    jobs: Annotated[int, typer.Option(help="How many more; a job takes some minutes.", min=1)] = 1,
    load: Annotated[str, typer.Option(help="quiet, or busy with a synthetic neighbour.")] = "quiet",
    same: Annotated[bool, typer.Option(help="All operators, none slower: counts false alarms alone.")] = False,
    folder: Folder = FOLDER,
) -> None:
    """Add jobs to a study: each of 16 processes that measure operators, some made slower by real extra work.

    Ctrl-C keeps all whole jobs; the next call goes on.
    """
    from studies.compare_rule import collect
    from upsampler_bench.discovery import nearest
    from upsampler_bench.errors import PlanError

    if load not in (collect.QUIET, collect.BUSY):
        raise PlanError(f"--load is {load!r}; {nearest(load, (collect.QUIET, collect.BUSY))}")
    listener_ = console(stderr=True)
    try:
        there = collect.collect(folder, jobs, load, lambda text: listener_.print(text, highlight=False), same)
    except KeyboardInterrupt:
        listener_.print("Interrupted; whole jobs are kept, the same command goes on.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    listener_.print(
        f"{there} jobs {load} in {folder}; 'upsampler-bench study score' tells what they say", highlight=False
    )


@app.command()
def score(folder: Folder = FOLDER) -> None:
    """Print the rates as Markdown: our rule, and the rules that people use, on the same processes."""
    from studies.compare_rule import data, page

    print(page.page(data.read(folder)))
