"""Windows over a feature that is reflected at its borders, read without a reflected copy of it.

What a window sees beyond a border, r rows out, is row r inside; and that row lies in the same window. So the weight of
a tap outside may as well be added to the tap that it mirrors, and a product with it is the product with its mirror.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def fold_taps(weights: Tensor, kernel: int, scale: int) -> Tensor:
    """Moves the weights of taps outside the feature to the taps that they mirror.

    Args:
        weights: (B, Zk², sH, sW), for windows of a feature (B, C, H, W) with H, W > k // 2.
        kernel, scale: k and s.

    Returns:
        (B, Zk², sH, sW), zero where a tap lies outside.
    """
    out: Tensor = _Fold.apply(weights, kernel, scale)  # type: ignore[no-untyped-call]
    return out


def mirror_taps(products: Tensor, kernel: int, scale: int) -> Tensor:
    """Gives taps outside the feature what belongs to the taps that they mirror; the transpose of `fold_taps`.

    Args:
        products: (B, Zk², sH, sW), for windows of a feature (B, C, H, W) with H, W > k // 2.
        kernel, scale: k and s.

    Returns:
        (B, Zk², sH, sW).
    """
    out: Tensor = _Mirror.apply(products, kernel, scale)  # type: ignore[no-untyped-call]
    return out


class _Fold(Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, kernel: int, scale: int) -> Tensor:
        ctx.sizes = (kernel, scale)
        folded = weights.clone(memory_format=torch.contiguous_format)
        for outside, inside in _strips(folded, kernel, scale):
            inside.add_(outside)
            outside.zero_()
        return folded

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return mirror_taps(grad, *ctx.sizes), None, None


class _Mirror(Function):
    @staticmethod
    def forward(ctx: Any, products: Tensor, kernel: int, scale: int) -> Tensor:
        ctx.sizes = (kernel, scale)
        mirrored = products.clone(memory_format=torch.contiguous_format)
        # The corners lie outside both ways: undone in the opposite order to that of folding.
        for outside, inside in reversed(list(_strips(mirrored, kernel, scale))):
            outside.copy_(inside)
        return mirrored

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return fold_taps(grad, *ctx.sizes), None, None


def _strips(taps: Tensor, kernel: int, scale: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Views of the taps that lie outside at one distance from one border, and of those that they mirror."""
    square = taps.unflatten(1, (-1, kernel, kernel))  # (B, Z, k, k, sH, sW)
    for along_taps, along_pixels in ((2, 4), (3, 5)):
        for distance in range(kernel // 2):
            near = square.narrow(along_pixels, distance * scale, scale)
            far = square.narrow(along_pixels, square.shape[along_pixels] - (distance + 1) * scale, scale)
            # Tap t of the pixel at distance d lies at d + t - k//2 < 0, its mirror at the tap k - 1 - t - 2d.
            pairs = [(tap, kernel - 1 - tap - 2 * distance) for tap in range(kernel // 2 - distance)]
            for outside, inside in pairs:
                yield near.select(along_taps, outside), near.select(along_taps, inside)
            for outside, inside in pairs:
                yield far.select(along_taps, kernel - 1 - outside), far.select(along_taps, kernel - 1 - inside)
