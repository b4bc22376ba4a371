"""paper: reproduce the paper's tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench.commands.console import console
from upsampler_bench.commands.exit_codes import FINE, INTERRUPTED
from upsampler_bench.commands.measuring import measure
from upsampler_bench.commands.options import (
    FORMATS,
    Device,
    Formats,
    Plugin,
    Threads,
)
from upsampler_bench.commands.reporting import check_formats, tell


def paper(
    upsampler: Annotated[
        list[str] | None, typer.Option("--upsampler", "-u", help="More operators beside the paper's twelve.")
    ] = None,
    device: Device = None,
    threads: Threads = None,
    batch: Annotated[list[int] | None, typer.Option(help="B in the model; 1, on a GPU 4 and 16.")] = None,
    plugin: Plugin = None,
    output_dir: Annotated[Path | None, typer.Option(help="Where to write; reports/<device>/paper by default.")] = None,
    formats: Formats = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what is already measured.")] = False,
) -> None:
    """Hold the paper's figures against ours: Fig. 1 and 8, Tables 1-4, 6, 8 and 9.

    Measures what is not measured yet (the bare operators, SegFormer-B1 with each of them, the ablation's steps, the
    parameters of the other models), and writes one report of it all. Exit codes: 0 fine, 2 misuse or nothing measured,
    130 interrupted (the same command goes on).
    """
    from upsampler_bench.paper import sections

    check_formats(formats)
    given = dict(locals())
    flags = {name: given[name] for name in ("device", "threads", "batch", "plugin") if given[name] is not None}
    runs, said = [], console(stderr=True)
    for section in sections.NAMES:
        ready, stored = sections.prepare(section, flags, upsampler or (), output_dir, again=again)
        said.print(f"{section}: {'measured before' if stored else f'{len(ready.cases)} cases'}", highlight=False)
        runs.append(stored or measure(ready))
        if runs[-1].ended == "interrupted":
            said.print("Interrupted; the same command goes on.", highlight=False)
            break
    folder = sections.folder(output_dir, runs[0])
    tell(runs, folder, formats or FORMATS)
    raise typer.Exit(INTERRUPTED if runs[-1].ended == "interrupted" else FINE)
