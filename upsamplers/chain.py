"""Operators one after the other, as papers reach scales that an operator does not have."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from upsamplers.base import Composed, Upsampler
from upsamplers.checks import require_guide
from upsamplers.functional.average_pool import pool_to


class Chain(Composed):
    """Operators without a guide one after the other: scale 8 by three of scale 2.

    Args:
        operators: at least one, all of the same channels and scale; submodules "0", "1", ...
    """

    def __init__(self, operators: Sequence[Upsampler]) -> None:
        first = operators[0]
        super().__init__(first.channels, scale=first.scale ** len(operators), guide_channels=first.guide_channels)
        self.least_size = first.least_size
        for position, operator in enumerate(operators):
            self.add_module(str(position), operator)

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        for operator in self.children():
            x = operator(x)
        return x


class GuidedChain(Chain):
    """Guided operators one after the other; each takes the guide averaged to the size of its output."""

    needs_guide = True

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:  # type: ignore[override]
        """X (B, C, H, W) and a guide (B, G, sH, sW) -> (B, C, sH, sW)."""
        require_guide(guide, x, self.guide_channels, self.scale)
        for operator in self.children():
            assert isinstance(operator, Upsampler)
            size = operator.scale * x.shape[2], operator.scale * x.shape[3]
            x = operator(x, operator.make_guide(pool_to(guide, *size)))
        return x
