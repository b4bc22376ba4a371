"""Which operators a side has, answered by its own interpreter."""

from __future__ import annotations

from upsampler_bench.compare.process import Side, SideError
from upsampler_bench.errors import BenchError
from upsampler_bench.runner import isolated
from upsampler_bench.runner.operators import Operator


def operators(side: Side, device: str = "") -> tuple[Operator, ...]:
    """The operators of a side; given a device such as "cuda:0", those that run on its kind.

    Raises:
        SideError: its code cannot be imported, or does not respond.
    """
    try:
        known = isolated.registered(plugins=side.plugins, side=side.code, path=side.path)
    except BenchError as problem:
        raise SideError(f"{side.name} cannot be loaded: {problem}") from problem
    return tuple(operator for operator in known if not device or operator.runs_on(device))


def names(side: Side, device: str = "") -> tuple[str, ...]:
    """The names of `operators`."""
    return tuple(operator.name for operator in operators(side, device))
