"""quality: measure what an upsampler is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench.case import SIGNATURE
from upsampler_bench.commands.measuring import keys_of, perform
from upsampler_bench.commands.options import Formats, OutputDir, Plugin, Resume, Timeout, Upsampler
from upsampler_bench.errors import PlanError


def quality(
    upsampler: Upsampler = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", help="Measure only this: signature, shapes or reconstruction. Repeat for more."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short trainings, to see that everything works.")] = False,
    seeds: Annotated[
        int | None, typer.Option(help="Networks to train per operator and task. Default: 3, or 1 with --quick.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The first of the seeds. Default: 0.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of one training. Default: 400.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of the scenes in pixels, a multiple of 8. Default: 72.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest learning rate of a training. Default: 0.004.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Folder with the four Fashion-MNIST files.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Checkpoint to measure the signature of; without --task nothing is trained.")
    ] = None,
    timeout: Timeout = None,
    plugin: Plugin = None,
    output_dir: OutputDir = None,
    formats: Formats = None,
    resume: Resume = False,
) -> None:
    """Measure what an upsampler is worth: signature, shapes, reconstruction.

    The signature is what it does to known signals, untrained. Shapes and
    reconstruction train small networks that differ in the operator alone;
    differences are paired with bilinear by seed. See docs/quality.md.

    Exit codes: 0 fine, 2 misuse or nothing could be measured, 130 interrupted.
    """
    keys = keys_of(locals())
    if weights and not Path(weights).is_file():
        raise PlanError(f"--weights is {weights!r}: there is no such file; expected a checkpoint")
    if weights and not tasks:
        keys["tasks"] = [SIGNATURE]
    perform("quality-quick" if quick else "quality", keys, output_dir, formats, resume=resume)
