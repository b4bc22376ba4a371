"""A model that is only a list of upsampling stages, each on inputs of its own: a decoder given by its shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from upsampler_bench.errors import PlanError
from upsampler_bench.models import MakeUpsampler

ABOUT = "a list of stages CxHxW or CxHxW/G joined by +, e.g. stages(256x16x16/256+256x32x32/256)"
STAGE = re.compile(r"(\d+)x(\d+)x(\d+)(?:/(\d+))?")


@dataclass(frozen=True, slots=True)
class Stage:
    """One x2 stage on a feature (C, H, W), beside an encoder feature (G, 2H, 2W)."""

    channels: int
    height: int
    width: int
    guide: int


class Stages(nn.Module):
    """All stages one after the other; each has an input and an encoder feature of its own."""

    def __init__(self, stages: Sequence[Stage], make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        self.stages = nn.ModuleList(make_upsampler(one.channels, one.guide) for one in stages)

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """x (B, C, H, W) and feature (B, G, 2H, 2W) of each stage in turn -> the stages' outputs (B, C, 2H, 2W)."""
        pairs = zip(self.stages, features[::2], features[1::2], strict=True)
        return tuple(stage.upsample_to(x, feature) for stage, x, feature in pairs)  # type: ignore[operator]


def parse(
    argument: str,
) -> tuple[Callable[[MakeUpsampler], nn.Module], Callable[[int, int], Sequence[tuple[int, int, int]]]]:
    """What `models.get` asks of a model with an argument: how it is built, and the shapes of its inputs.

    Raises:
        PlanError: the argument is no list of stages.
    """
    stages = tuple(_stage(text.strip()) for text in argument.split("+"))
    shapes = [shape for one in stages for shape in ((one.channels, one.height, one.width), _beside(one))]
    return partial(Stages, stages), lambda height, width: shapes


def _stage(text: str) -> Stage:
    match = STAGE.fullmatch(text)
    if match is None or not all(int(size) for size in match.groups() if size):
        raise PlanError(f"stage {text!r}: expected CxHxW or CxHxW/G in whole numbers from 1, such as 256x16x16/64")
    channels, height, width = map(int, match.groups()[:3])
    return Stage(channels, height, width, int(match[4] or channels))


def _beside(stage: Stage) -> tuple[int, int, int]:
    return stage.guide, 2 * stage.height, 2 * stage.width
