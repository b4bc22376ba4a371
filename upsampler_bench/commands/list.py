"""list: the registered operators with their papers, needs, scales and parameters; the backends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from upsampler_bench.case import AUTO
from upsampler_bench.commands.console import console
from upsampler_bench.commands.options import Plugin
from upsampler_bench.formats.markdown import escaped

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

# So that no author's name is cut.
LONGEST_NAME = 14


def list_operators(
    channels: Annotated[int, typer.Option(help="Channels C to count the parameters for.", min=1)] = 256,
    scale: Annotated[int, typer.Option(help="Upsampling factor s to count the parameters for.", min=1)] = 2,
    plugin: Plugin = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """List the operators (paper, needs, scales, parameters) and the backends."""
    from upsampler_bench.runner import operators

    operators.load(plugin or ())
    if as_markdown:
        print(markdown(channels, scale))
    else:
        console().print(table(channels, scale))
        console().print("", backends())


def table(channels: int, scale: int) -> Group:
    """All operators as a table for a terminal, and below it why some have no parameters at these channels and scale."""
    from rich.console import Group
    from rich.table import Table

    import upsamplers

    operators = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    operators.add_column("operator", no_wrap=True)
    operators.add_column("paper", min_width=LONGEST_NAME)
    operators.add_column("needs")
    operators.add_column("scales")
    operators.add_column(f"weights, C={channels} s={scale}", justify="right")
    operators.add_column("all", justify="right")
    refusals = []
    for name in upsamplers.names():
        weights, parameters, refusal = _parameters(name, channels, scale)
        operators.add_row(name, *_facts(name), weights, parameters)
        if refusal:
            refusals.append(f"{name}: {refusal}")
    return Group(operators, *(["", *refusals] if refusals else []))


def markdown(channels: int = 256, scale: int = 2) -> str:
    """All operators as a Markdown table."""
    import upsamplers

    lines = ["| operator | paper | needs | scales | weights | parameters |", f"|{' :-- |' * 4} --: | --: |"]
    for name in upsamplers.names():
        weights, parameters, refusal = _parameters(name, channels, scale)
        cells = [f"`{name}`", *map(escaped, (*_facts(name), weights, refusal or parameters))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def backends() -> Table:
    """All backends as a table for a terminal, with the operators of one that does not run all."""
    from rich.table import Table

    import upsamplers
    from upsampler_bench import backends

    rows = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    rows.add_column("backend", no_wrap=True)
    rows.add_column("what runs")
    for name in backends.names():
        backend = backends.get(name)
        operators = [
            operator
            for operator in upsamplers.names()
            if backend.OPERATORS in (AUTO, *upsamplers.get(operator).cls.backends)
        ]
        is_for_all = len(operators) == len(upsamplers.names())
        rows.add_row(name, backend.DESCRIPTION + ("" if is_for_all else f": {', '.join(operators)}"))
    return rows


def _facts(name: str) -> tuple[str, str, str]:
    """An operator's paper, what it needs, and its scales."""
    import upsamplers

    spec = upsamplers.get(name)
    needs = ["guide"] if spec.needs_guide else []
    if "cpu" not in spec.devices:
        needs += [device.upper() for device in spec.devices]
    return spec.paper or "-", ", ".join(needs) or "-", ", ".join(map(str, spec.scales)) or "any"


def _parameters(name: str, channels: int, scale: int) -> tuple[str, str, str]:
    """The number of parameters of two or more dimensions, of all, and why there are none if the operator refuses."""
    import torch

    import upsamplers

    try:
        with torch.device("meta"):
            module = upsamplers.create(name, channels, scale=scale)
    except (upsamplers.UpsamplerError, RuntimeError, TypeError, ValueError) as refusal:
        return "-", "-", str(refusal)
    sizes = [(parameter.dim(), parameter.numel()) for parameter in module.parameters()]
    weights = sum(size for dimensions, size in sizes if dimensions > 1)
    return f"{weights:,}", f"{sum(size for _, size in sizes):,}", ""
