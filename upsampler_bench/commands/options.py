"""Options that several commands take, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench import plan as plans

# What a report is written as unless the user chooses.
FORMATS = ("csv", "markdown", "html", "png")

PLAN = f"Plan: a .toml file, or one of the package ({', '.join(plans.names())})."

Upsampler = Annotated[
    list[str] | None,
    typer.Option("--upsampler", "-u", help="Operator: a name or a wildcard such as 'dysample*'. Repeat for more."),
]
Shape = Annotated[
    list[str] | None,
    typer.Option(help="Low-resolution feature, such as 256x120x120. Repeat for more.", metavar="CxHxW"),
]
Model = Annotated[
    list[str] | None, typer.Option(help="Model to measure the operators in, or your own as module:function.")
]
Image = Annotated[list[str] | None, typer.Option(help="Image size of a model, such as 512x512.", metavar="HxW")]
Backend = Annotated[
    list[str] | None,
    typer.Option(help="How operators are executed, such as torch. Repeat for more. Default: torch; on a GPU auto."),
]
Batch = Annotated[list[int] | None, typer.Option(help="Batch size. Repeat for more.")]
Device = Annotated[str | None, typer.Option(help="Device to measure on: auto, cpu, cuda or cuda:i.")]
Threads = Annotated[
    int | None, typer.Option(help="Number of CPU threads. Default: 1; 0: all that this process may use.")
]
Plugin = Annotated[list[str] | None, typer.Option(help="Module or .py file that registers operators. Repeat for more.")]
Formats = Annotated[
    list[str] | None,
    typer.Option("--format", "-f", help=f"Format of the report. Repeat for more. Default: {', '.join(FORMATS)}."),
]
OutputDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder to write to; {device} in it stands for the device's name. Default: a new folder in runs/.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Continue the run in --output-dir, or else the newest unfinished run of the plan."),
]
Shard = Annotated[
    str | None,
    typer.Option(help="Measure every n-th condition only, from the i-th on; 'merge' joins the shards.", metavar="I/N"),
]
Devices = Annotated[
    str | None,
    typer.Option(help="Share the conditions among GPUs, such as 0,1 or all; or cores, cpu:0,cpu:1.", metavar="0,1"),
]
Timeout = Annotated[
    float | None,
    typer.Option(help="Stop an operator that does not respond for this many seconds. Default: the plan's, or 120."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
