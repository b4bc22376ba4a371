"""Which operators a side has, answered by its own interpreter."""

from __future__ import annotations

from upsampler_bench.case import Case
from upsampler_bench.compare.process import Side, SideError
from upsampler_bench.errors import BenchError
from upsampler_bench.runner import isolated

QUESTION = "upsampler_bench.runner.operators:names_of"


def names(side: Side, device: str = "") -> tuple[str, ...]:
    """The operators of a side; given a device such as "cuda:0", those that run on its kind.

    Raises:
        SideError: its code cannot be imported, or does not respond.
    """
    try:
        answers: list[tuple[str, ...] | str] = isolated.ask(
            QUESTION, [Case("", device=device)], tuple[str, ...], str,
            plugins=side.plugins, side=side.code, path=side.path,
        )  # fmt: skip
    except BenchError as problem:
        raise SideError(f"{side.name} cannot be loaded: {problem}") from problem
    if isinstance(answers[0], str):
        raise SideError(f"{side.name} cannot be loaded: {answers[0]}")
    return answers[0]
