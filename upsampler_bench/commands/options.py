"""Options that several commands take, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TEXTS = ("csv", "markdown")
PICTURES = ("png", "svg")
FORMATS = (*TEXTS, "html", *PICTURES)

Upsampler = Annotated[list[str] | None, typer.Option("--upsampler", "-u", help="A name, or a shell wildcard.")]
Shape = Annotated[list[str] | None, typer.Option(help="CxHxW of the low-resolution feature.", metavar="CxHxW")]
Model = Annotated[list[str] | None, typer.Option(help="A model to measure in; or your own module:function.")]
Image = Annotated[list[str] | None, typer.Option(help="HxW of a model's image.", metavar="HxW")]
Batch = Annotated[list[int] | None, typer.Option(help="B.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:i.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads, 1 by default; 0: all.")]
Plugin = Annotated[list[str] | None, typer.Option(help="A module or .py file that registers operators.")]
Formats = Annotated[list[str] | None, typer.Option("--format", "-f", help=f"Default {', '.join(FORMATS)}; also latex.")]
OutputDir = Annotated[Path | None, typer.Option(help="Where to write; reports/<device> by default.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
