"""run: measure operators, alone or in a model."""

from __future__ import annotations

from typing import Annotated

import typer

from upsampler_bench.commands.exit_codes import FAILED, FINE
from upsampler_bench.commands.measuring import keys_of, perform
from upsampler_bench.commands.options import (
    PLAN,
    Backend,
    Batch,
    Device,
    Devices,
    Formats,
    Image,
    Model,
    OutputDir,
    Plugin,
    Resume,
    Shape,
    Shard,
    Threads,
    Timeout,
    Upsampler,
)
from upsampler_bench.errors import PlanError


def run(
    plan: Annotated[str, typer.Option(help=PLAN)] = "paper",
    upsampler: Upsampler = None,
    backend: Backend = None,
    shape: Shape = None,
    scale: Annotated[list[int] | None, typer.Option(help="Upsampling factor. Repeat for more.")] = None,
    batch: Batch = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="Data type: float32, float16, bfloat16 or float64. Repeat for more.")
    ] = None,
    layout: Annotated[list[str] | None, typer.Option(help="Memory layout: contiguous or channels_last.")] = None,
    model: Model = None,
    image: Image = None,
    guide_image: Annotated[
        list[str] | None,
        typer.Option(help="Image size for operators guided by one: HxW, or output (default), its size.", metavar="HxW"),
    ] = None,
    mode: Annotated[
        list[str] | None, typer.Option(help="What to measure: inference, train, or probe (what works).")
    ] = None,
    device: Device = None,
    devices: Devices = None,
    shard: Shard = None,
    metrics: Annotated[list[str] | None, typer.Option(help="Measure only this metric. Repeat for more.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Operator that ratios are relative to.")] = None,
    threads: Threads = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the inputs, the weights and the order of rounds.")] = None,
    budget: Annotated[
        float | None,
        typer.Option(help="Seconds for all of it, the report included; what does not fit is skipped. 0: no limit."),
    ] = None,
    max_time: Annotated[
        float | None, typer.Option(help="Stop timing an operator after this many seconds. Default: the plan's, or 15.")
    ] = None,
    target_ci: Annotated[
        float | None, typer.Option(help="Stop timing an operator at this precision; 0.01: within ±1 %.")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            help="Fresh processes that share the timing. Default: 3; 1 for short or limited runs and for compilers."
        ),
    ] = None,
    malloc: Annotated[
        str | None, typer.Option(help="keep (the default): keep the heap between calls; default: do not. CPU only.")
    ] = None,
    cache: Annotated[str | None, typer.Option(help="State of the L2 cache: cold or warm. CUDA only.")] = None,
    cuda_graph: Annotated[
        bool | None, typer.Option("--cuda-graph", help="Time the replay of a captured CUDA graph.")
    ] = None,
    timeout: Timeout = None,
    memory_limit: Annotated[
        int | None, typer.Option(help="Bytes that the measuring process may allocate. CPU only.")
    ] = None,
    plugin: Plugin = None,
    output_dir: OutputDir = None,
    formats: Formats = None,
    resume: Resume = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if an operator failed or was skipped.")] = False,
) -> None:
    """Measure operators, write results.json and a report, print the table.

    An option replaces the plan's value.

    Exit codes: 0 fine, 1 an operator failed (with --strict), 2 misuse or
    nothing that was asked for could be measured, 130 interrupted.
    """
    keys = keys_of(locals())
    if shape and model and "none" not in model:
        raise PlanError(f"--shape is of a bare operator; in {', '.join(model)} the model decides, from --image")
    measured = perform(plan, keys, output_dir, formats, resume=resume, shard=shard, devices=devices)
    incomplete = any(measurement.reason for measurement in measured.measurements)
    raise typer.Exit(FAILED if strict and incomplete else FINE)
