"""list: the registered operators with their papers, needs, scales and parameters; the backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from upsampler_bench.case import AUTO, Case
from upsampler_bench.commands.console import console
from upsampler_bench.commands.options import Plugin, Timeout

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from upsampler_bench.runner.operators import Operator, Parameters

# So that neither an author's name nor a number is cut.
LONGEST_NAME = 14
NUMBER = len("99,999,999")
Row = tuple["Operator", "Parameters"]


def list_operators(
    channels: Annotated[int, typer.Option(help="Channels C to count the parameters for.", min=1)] = 256,
    scale: Annotated[int, typer.Option(help="Upsampling factor s to count the parameters for.", min=1)] = 2,
    plugin: Plugin = None,
    timeout: Timeout = None,
) -> None:
    """List the operators (paper, needs, scales, parameters) and the backends."""
    operators = rows(channels, scale, plugin or (), timeout)
    console().print(table(operators, channels, scale))
    console().print("", backends([operator for operator, _ in operators]))


def rows(channels: int, scale: int, plugins: Sequence[str] = (), timeout: float | None = None) -> list[Row]:
    """Every operator with its parameters, which are counted in a measuring process."""
    from upsampler_bench.runner import isolated
    from upsampler_bench.runner.operators import Parameters, pickled
    from upsampler_bench.runner.progress import steps

    known = isolated.registered(plugins=plugins, timeout=timeout)
    names = [operator.name for operator in known]
    with steps(console(stderr=True), len(names)) as begin:
        counts = isolated.ask(
            "upsampler_bench.runner.operators:parameters",
            [Case(name, channels=channels, scale=scale) for name in names], Parameters,
            lambda reason: Parameters(refusal=reason), plugins=plugins, specs=pickled(names), timeout=timeout,
            begin=lambda case: begin(case.upsampler),
        )  # fmt: skip
    return list(zip(known, counts, strict=True))


def table(rows: Sequence[Row], channels: int, scale: int) -> Group:
    """All operators as a table for a terminal, and below it why some have no parameters at these channels and scale."""
    from rich.console import Group
    from rich.table import Table

    operators = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    operators.add_column("operator", overflow="fold", min_width=LONGEST_NAME)
    operators.add_column("paper", min_width=LONGEST_NAME)
    operators.add_column("needs")
    operators.add_column("scales")
    operators.add_column(f"weights, C={channels} s={scale}", justify="right", min_width=NUMBER)
    operators.add_column("parameters", justify="right", min_width=NUMBER)
    refusals = []
    for operator, parameters in rows:
        operators.add_row(operator.name, *_facts(operator), *_numbers(parameters))
        if parameters.refusal:
            refusals.append(f"{operator.name}: {parameters.refusal}")
    return Group(operators, *(["", *refusals] if refusals else []))


def backends(operators: Sequence[Operator]) -> Table:
    """All backends as a table for a terminal, with the operators of one that does not run all."""
    from rich.table import Table

    from upsampler_bench import backends

    rows = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    rows.add_column("backend", no_wrap=True)
    rows.add_column("what runs")
    for name in backends.names():
        backend = backends.get(name)
        served = [operator.name for operator in operators if backend.OPERATORS in (AUTO, *operator.backends)]
        is_for_all = len(served) == len(operators)
        missing = backends.why_not(Case("", backend=name)) or ""
        missing = f" ({missing.removeprefix(f'backend {name} ')})" if "pip install" in missing else ""
        rows.add_row(name, backend.DESCRIPTION + missing + ("" if is_for_all else f": {', '.join(served)}"))
    return rows


def _facts(operator: Operator) -> tuple[str, str, str]:
    """An operator's paper, what it needs, and its scales."""
    needs = [] if not operator.needs_guide else ["image" if operator.guide_is_image else "guide"]
    if "cpu" not in operator.devices:
        needs += [device.upper() for device in operator.devices]
    return operator.paper or "-", ", ".join(needs) or "-", ", ".join(map(str, operator.scales)) or "any"


def _numbers(parameters: Parameters) -> tuple[str, str]:
    """The weights and all parameters, or a dash where the operator refuses."""
    return ("-", "-") if parameters.refusal else (f"{parameters.weights:,}", f"{parameters.all:,}")
