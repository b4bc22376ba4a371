"""list: the registered operators."""

from __future__ import annotations

from typing import Annotated

import typer

from upsampler_bench.commands.console import console
from upsampler_bench.commands.options import Plugin


def list_operators(
    channels: Annotated[int, typer.Option(help="C, for the parameters.", min=1)] = 256,
    scale: Annotated[int, typer.Option(help="s, for the parameters.", min=1)] = 2,
    plugin: Plugin = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a Markdown table.")] = False,
) -> None:
    """List the operators: paper, what they need, scales, parameters."""
    from upsampler_bench.commands import catalogue
    from upsampler_bench.runner import operators

    operators.load(plugin or ())
    if markdown:
        print(catalogue.markdown(channels, scale))
    else:
        console().print(catalogue.table(channels, scale))
