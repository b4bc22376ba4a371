"""A large scale, reached by several operators of a small one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from upsamplers.base import Upsampler


class Chain(Upsampler):
    """Operators one after the other: scale 8 by three of scale 2.

    Args:
        operators: at least one, all of the same channels and scale; held as "0", "1", ...
    """

    def __init__(self, operators: Sequence[Upsampler]) -> None:
        super().__init__(operators[0].channels, scale=operators[0].scale ** len(operators))
        for position, operator in enumerate(operators):
            self.add_module(str(position), operator)

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        for operator in self.children():
            x = operator(x)
        return x
