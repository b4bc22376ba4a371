"""A model that is only a list of upsampling stages, each on inputs of its own: a decoder given by its shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from upsampler_bench.errors import PlanError
from upsampler_bench.models import MakeUpsampler, Shape

ARGUMENT = "a list of stages CxHxW or CxHxW/G joined by +, e.g. stages(256x16x16/256+256x32x32/256)"
STAGE = re.compile(r"(\d+)x(\d+)x(\d+)(?:/(\d+))?")


class Stages(nn.Module):
    """All stages one after the other; each has an input and an encoder feature of its own."""

    def __init__(self, channels: Sequence[tuple[int, int]], make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        self.stages = nn.ModuleList(make_upsampler(*pair) for pair in channels)

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """x (B, C, H, W) and feature (B, G, 2H, 2W) of each stage in turn -> the stages' outputs (B, C, 2H, 2W)."""
        inputs = zip(self.stages, features[::2], features[1::2], strict=True)
        return tuple(stage.upsample_to(x, feature) for stage, x, feature in inputs)  # type: ignore[operator]


def parse(argument: str) -> tuple[Callable[[MakeUpsampler], nn.Module], tuple[Shape, ...]]:
    """How a model with this argument is built, and the shapes of its inputs without the batch.

    Raises:
        PlanError: the argument is not a list of stages.
    """
    channels: list[tuple[int, int]] = []
    shapes: list[Shape] = []
    for text in argument.split("+"):
        stage = text.strip()
        match = STAGE.fullmatch(stage)
        if match is None or not all(int(size) for size in match.groups() if size):
            raise PlanError(f"stage {stage!r}: expected CxHxW or CxHxW/G in positive integers, such as 256x16x16/64")
        c, height, width = map(int, match.groups()[:3])
        g = int(match[4] or c)
        channels.append((c, g))
        shapes += [(c, height, width), (g, 2 * height, 2 * width)]
    return partial(Stages, channels), tuple(shapes)
