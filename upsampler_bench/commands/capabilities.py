"""capabilities: test what works on each operator."""

from __future__ import annotations

from typing import Annotated

import typer

from upsampler_bench.commands.measuring import keys_of, perform
from upsampler_bench.commands.options import (
    Device,
    Devices,
    Formats,
    OutputDir,
    Plugin,
    Resume,
    Shape,
    Shard,
    Threads,
    Timeout,
    Upsampler,
)


def capabilities(
    upsampler: Upsampler = None,
    shape: Shape = None,
    metrics: Annotated[
        list[str] | None, typer.Option(help="Test only this, such as bfloat16 or onnx_export. Repeat for more.")
    ] = None,
    device: Device = None,
    devices: Devices = None,
    shard: Shard = None,
    threads: Threads = None,
    timeout: Timeout = None,
    plugin: Plugin = None,
    output_dir: OutputDir = None,
    formats: Formats = None,
    resume: Resume = False,
) -> None:
    """Test what works on each operator (dtypes, layouts, compilers, ...).

    The same as `run --plan capabilities`. The table has a footnote with the
    reason for each "no".

    Exit codes: 0 fine, 2 misuse or nothing could be tested, 130 interrupted.
    """
    keys = keys_of(locals())
    perform("capabilities", keys, output_dir, formats, resume=resume, shard=shard, devices=devices)
