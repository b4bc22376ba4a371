"""submit: measure the shards of a plan as jobs of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from upsampler_bench import storage
from upsampler_bench.commands.console import console
from upsampler_bench.commands.options import PLAN
from upsampler_bench.errors import PlanError
from upsampler_bench.units import counted


def submit(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(help=PLAN)],
    shards: Annotated[int, typer.Option(help="Number of jobs that share the conditions.", min=1)],
    engine: Annotated[str, typer.Option(help="slurm; to try a plan: local (CPU jobs) or debug (no job).")] = "slurm",
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder that all machines see. Default: a new folder in runs/.")
    ] = None,
    partition: Annotated[str | None, typer.Option(help="Slurm's partition.")] = None,
    time: Annotated[int, typer.Option(help="Minutes that a job may take; then it is requeued.", min=1)] = 60,
    gpus_per_task: Annotated[int, typer.Option(help="GPUs of a job; 0 on a CPU.", min=0, max=1)] = 1,
    cpus_per_task: Annotated[int, typer.Option(help="Host cores of a job.", min=1)] = 4,
    slurm: Annotated[
        list[str] | None, typer.Option(help="Another option of sbatch, such as constraint=h100.", metavar="KEY=VALUE")
    ] = None,
) -> None:
    """Submit the shards of a plan to a cluster, as an array of jobs.

    Each job is `run --plan PLAN --shard i/n --resume`; options of `run` for all
    of them follow after `--`. A preempted job, or one whose time is over, is
    requeued and goes on where it was. Then `status` and `collect`.

    Exit codes: 0 submitted, 2 misuse or refused by the engine.
    """
    from upsampler_bench import plan as plans
    from upsampler_bench.cluster import jobs

    name = plans.read(plan)["name"]
    jobs.check(engine, shards, context.args)
    pairs = [text.partition("=") for text in slurm or ()]
    if wrong := [key for key, equals, _ in pairs if not equals]:
        raise PlanError(f"--slurm is {wrong[0]!r}; expected KEY=VALUE, such as constraint=h100")
    parameters: dict[str, Any] = {
        "job_name": f"upsampler-bench-{name}",
        "time": time,
        "cpus_per_task": cpus_per_task,
        "additional_parameters": {key: value for key, _, value in pairs},
    }
    if partition:
        parameters["partition"] = partition
    if gpus_per_task:
        parameters["gpus_per_task"] = gpus_per_task
    folder = (output_dir or storage.new_folder(name)).absolute()
    submitted = jobs.submit(folder, plan, shards, context.args, engine, parameters)
    messages = console(stderr=True)
    messages.print(
        f"Submitted {counted(shards, 'shard')} of {name} to {engine}: jobs {', '.join(submitted.ids)}", soft_wrap=True
    )
    messages.print(f"upsampler-bench status {folder}", soft_wrap=True)
    messages.print(f"upsampler-bench collect {folder}", soft_wrap=True)
