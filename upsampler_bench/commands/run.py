"""run: measure operators, alone or in a model."""

from __future__ import annotations

from typing import Annotated

import typer

from upsampler_bench.commands.exit_codes import FAILED, FINE
from upsampler_bench.commands.measuring import DEFAULT_PLAN, perform
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
    Upsampler,
)

# Options of a command that are no keys of a plan.
OWN = ("plan", "output_dir", "formats", "resume", "strict", "again")


def run(
    plan: Annotated[
        str, typer.Option(help="A plan (paper, model, sweep, smoke, fused) or a .toml file.")
    ] = DEFAULT_PLAN,
    upsampler: Upsampler = None,
    shape: Shape = None,
    scale: Annotated[list[int] | None, typer.Option(help="s.")] = None,
    batch: Batch = None,
    dtype: Annotated[list[str] | None, typer.Option(help="float32, float16, bfloat16 or float64.")] = None,
    layout: Annotated[list[str] | None, typer.Option(help="contiguous or channels_last.")] = None,
    model: Model = None,
    image: Image = None,
    mode: Annotated[list[str] | None, typer.Option(help="inference, train or probe (what works).")] = None,
    device: Device = None,
    metrics: Annotated[list[str] | None, typer.Option(help="Only these metrics.")] = None,
    baseline: Annotated[str | None, typer.Option(help="What ratios are relative to.")] = None,
    threads: Threads = None,
    compile_: Annotated[bool | None, typer.Option("--compile", help="Measure under torch.compile.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of inputs, weights and order.")] = None,
    budget: Annotated[float | None, typer.Option(help="Seconds of timed calls in all; 0: no limit.")] = None,
    max_time: Annotated[float | None, typer.Option(help="Seconds of timed calls an operator.")] = None,
    target_ci: Annotated[float | None, typer.Option(help="Interval to stop at: 0.01 is ±1 %.")] = None,
    malloc: Annotated[str | None, typer.Option(help="keep or default (CPU).")] = None,
    cache: Annotated[str | None, typer.Option(help="cold or warm (CUDA).")] = None,
    cuda_graph: Annotated[bool | None, typer.Option("--cuda-graph", help="Time a graph's replay.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds one step may hang.")] = None,
    memory_limit: Annotated[int | None, typer.Option(help="Bytes the process may hold (CPU).")] = None,
    plugin: Plugin = None,
    output_dir: OutputDir = None,
    formats: Formats = None,
    resume: Resume = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if any operator failed.")] = False,
) -> None:
    """Measure operators, alone or in a model, write results.json and the reports, print the table.

    A key on the command line replaces the plan's. Another plan than the default writes into a folder of its own below
    reports/<device>. Exit codes: 0 fine, 1 an operator failed (--strict), 2 misuse or
    nothing measured, 130 interrupted.
    """
    given = dict(locals())
    flags = {key.rstrip("_"): value for key, value in given.items() if key not in OWN and value is not None}
    found = perform(plan, flags, output_dir, formats or FORMATS, resume=resume)
    lost = [one for one in found.measurements if one.reason]
    raise typer.Exit(FAILED if strict and lost else FINE)
