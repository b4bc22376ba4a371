"""Windows over a feature that is continued beyond its borders, read without a continued copy of it.

What a window sees beyond a border, r rows out, is row r inside where the feature is reflected, and the border's row
where it is replicated; and that row lies in the same window. So a reassembly adds the weight of a tap outside to the
tap that it mirrors, and an affinity copies the product of that tap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def fold_taps(weights: Tensor, kernel: int, scale: int, border: str = "reflection") -> Tensor:
    """Moves the weights of taps outside the feature to the taps that they mirror.

    Args:
        weights: (B, Zk², sH, sW), for windows of a feature (B, C, H, W); with reflection H, W > k // 2.
        kernel, scale: k and s.
        border: "reflection" or "replication".

    Returns:
        (B, Zk², sH, sW), zero where a tap lies outside.
    """
    out: Tensor = _Fold.apply(weights, kernel, scale, border)  # type: ignore[no-untyped-call]
    return out


def mirror_taps(products: Tensor, kernel: int, scale: int, border: str = "reflection") -> Tensor:
    """Gives taps outside the feature what belongs to the taps that they mirror; the transpose of `fold_taps`.

    Args:
        products: (B, Zk², sH, sW), for windows of a feature (B, C, H, W); with reflection H, W > k // 2.
        kernel, scale, border: as there.

    Returns:
        (B, Zk², sH, sW).
    """
    out: Tensor = _Mirror.apply(products, kernel, scale, border)  # type: ignore[no-untyped-call]
    return out


class _Fold(Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, kernel: int, scale: int, border: str) -> Tensor:
        ctx.sizes = (kernel, scale, border)
        folded = weights.clone(memory_format=torch.contiguous_format)
        for outside, inside in _strips(folded, kernel, scale, border):
            inside.add_(outside)
            outside.zero_()
        return folded

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return mirror_taps(grad, *ctx.sizes), None, None, None


class _Mirror(Function):
    @staticmethod
    def forward(ctx: Any, products: Tensor, kernel: int, scale: int, border: str) -> Tensor:
        ctx.sizes = (kernel, scale, border)
        mirrored = products.clone(memory_format=torch.contiguous_format)
        # The corners lie outside both ways: undone in the opposite order to that of folding.
        for outside, inside in reversed(list(_strips(mirrored, kernel, scale, border))):
            outside.copy_(inside)
        return mirrored

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return fold_taps(grad, *ctx.sizes), None, None, None


def _strips(taps: Tensor, kernel: int, scale: int, border: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Views of the taps that lie outside at one distance from one border, and of those that they mirror."""
    square = taps.unflatten(1, (-1, kernel, kernel))  # (B, Z, k, k, sH, sW)
    for along_taps, along_pixels in ((2, 4), (3, 5)):
        # Replicated, a feature may have fewer rows than a window reaches beyond it.
        for distance in range(min(kernel // 2, square.shape[along_pixels] // scale)):
            near = square.narrow(along_pixels, distance * scale, scale)
            far = square.narrow(along_pixels, square.shape[along_pixels] - (distance + 1) * scale, scale)
            # Tap t of the pixel at distance d lies at d + t - k//2 < 0; the border's own row is tap k//2 - d.
            first = kernel // 2 - distance
            pairs = [(tap, 2 * first - tap if border == "reflection" else first) for tap in range(first)]
            for outside, inside in pairs:
                yield near.select(along_taps, outside), near.select(along_taps, inside)
            for outside, inside in pairs:
                yield far.select(along_taps, kernel - 1 - outside), far.select(along_taps, kernel - 1 - inside)
