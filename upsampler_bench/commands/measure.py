"""Commands that measure: run, capabilities, paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench.commands.options import (
    FORMATS,
    TEXTS,
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
from upsampler_bench.commands.work import DEFAULT_PLAN, INTERRUPTED, check_formats, console, measure, perform, tell

# Options of a command that are no keys of a plan.
OWN = ("plan", "output_dir", "formats", "resume", "strict", "again")
OK, FAILED = 0, 1


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
    raise typer.Exit(FAILED if strict and lost else OK)


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
    raise typer.Exit(INTERRUPTED if runs[-1].ended == "interrupted" else OK)
