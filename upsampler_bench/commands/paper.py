"""paper: reproduce the paper's tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upsampler_bench import storage
from upsampler_bench.commands.console import console
from upsampler_bench.commands.exit_codes import FINE, INTERRUPTED
from upsampler_bench.commands.measuring import duration, measure
from upsampler_bench.commands.options import Device, Devices, Formats, OutputDir, Plugin, Threads
from upsampler_bench.commands.reporting import check_formats, drawing_seconds, report
from upsampler_bench.results import COMPLETE, Run
from upsampler_bench.units import counted

if TYPE_CHECKING:
    from upsampler_bench.runner.session import Session


def paper(
    upsampler: Annotated[
        list[str] | None,
        typer.Option("--upsampler", "-u", help="Operator to add to the paper's twelve. Repeat for more."),
    ] = None,
    device: Device = None,
    devices: Devices = None,
    threads: Threads = None,
    batch: Annotated[
        list[int] | None, typer.Option(help="Batch size in the model. Default: 1; on a GPU 4 and 16.")
    ] = None,
    plugin: Plugin = None,
    accuracy: Annotated[
        Path | None, typer.Option(help="CSV of what you trained (mIoU, AP, ...): table,upsampler,figure,ours.")
    ] = None,
    output_dir: OutputDir = None,
    formats: Formats = None,
    again: Annotated[bool, typer.Option("--again", help="Measure again what is already measured.")] = False,
) -> None:
    """Reproduce the paper's figures 1 and 8 and tables 1-4, 6, 8 and 9.

    Measures the bare operators, SegFormer-B1 with each of them, the ablation's
    steps, and the parameters of the other models, unless runs/ or reports/ has
    them already. Then writes one report, with your operators (-u) in it.

    Exit codes: 0 fine, 2 misuse or nothing measured, 130 interrupted (the same
    command continues).
    """
    from upsampler_bench import plan
    from upsampler_bench.device import resolve
    from upsampler_bench.paper import sections
    from upsampler_bench.runner import session

    check_formats(formats)
    placements = session.placed(devices or "", plan.parse({"device": device or "auto", "threads": threads or 1}))
    if placements:
        device = placements[0].device
    options = {"device": device, "threads": threads, "batch": batch, "plugin": plugin}
    keys = {key: value for key, value in options.items() if value is not None}
    folder = None
    if output_dir is not None:
        folder = session.output_folder(output_dir, resolve(device or "auto"))
    own = [] if again else storage.stored_runs(folder or storage.RUNS, nested=True)
    stored = own if again else [*own, *storage.stored_runs(storage.REPORTS, nested=True)]
    unfinished = [(path, run) for path, run in own if run.ended != COMPLETE]
    prepared = {name: sections.prepare(name, keys, upsampler or (), stored, unfinished) for name in sections.NAMES}
    if accuracy is not None:
        prepared = sections.with_accuracy(prepared, accuracy)
    if folder is None:
        folder = storage.new_folder("reproduction")
    drawing = drawing_seconds([case for ready, _ in prepared.values() for case in ready.cases], formats)
    prepared = {name: (replace(ready, placements=placements), run) for name, (ready, run) in prepared.items()}
    runs = _measure(prepared, folder, drawing)
    report(runs, folder, formats)
    raise typer.Exit(INTERRUPTED if any(run.ended == "interrupted" for run in runs) else FINE)


def _measure(prepared: Mapping[str, tuple[Session, Run | None]], folder: Path, drawing: float) -> list[Run]:
    """The runs of all sections: stored, or measured now; after one that is interrupted those that are stored alone.

    Args:
        prepared: by the section's name, with its run if that is stored.
        folder: where those are written that are not written anywhere yet.
        drawing: seconds that the report will take.
    """
    from upsampler_bench.runner import session

    runs, messages = [], console(stderr=True)
    left = {name: ready for name, (ready, run) in prepared.items() if run is None}
    if left:
        messages.print(f"{counted(len(left), 'section')} to measure: {duration(list(left.values()), drawing)}")
    is_interrupted = False
    for name, (ready, stored) in prepared.items():
        if stored is not None:
            messages.print(f"{name}: already measured")
            runs.append(stored)
        if stored is not None or is_interrupted:
            continue
        messages.print(f"{name}: {counted(len(ready.cases), 'case')}")
        del left[name]
        later = drawing + sum(section.expectation()[0] for section in left.values())
        if ready.writer.folder is None:
            session.check_writable(folder / name)
            ready = replace(ready, writer=session.ResultWriter(folder / name))
        runs.append(measure(replace(ready, after=later)))
        if runs[-1].ended == "interrupted":
            is_interrupted = True
            rest = f" Not in the report, nor what --accuracy has for them: {', '.join(left)}." if left else ""
            messages.print(f"Interrupted; the same command, without --again, continues.{rest}")
    return runs
