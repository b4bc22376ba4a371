"""Pixel shuffle and its inverse, also of an empty batch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pixel_shuffle(x: Tensor, scale: int) -> Tensor:
    """`F.pixel_shuffle`: (B, s²C, H, W) -> (B, C, sH, sW).

    Torch's own backward gives an empty batch a gradient of the output's shape, which autograd then refuses.
    """
    if x.shape[0] > 0:
        return F.pixel_shuffle(x, scale)
    return x.reshape(0, x.shape[1] // scale**2, scale * x.shape[2], scale * x.shape[3])


def pixel_unshuffle(x: Tensor, scale: int) -> Tensor:
    """`F.pixel_unshuffle`: (B, C, sH, sW) -> (B, s²C, H, W); see `pixel_shuffle`."""
    if x.shape[0] > 0:
        return F.pixel_unshuffle(x, scale)
    return x.reshape(0, x.shape[1] * scale**2, x.shape[2] // scale, x.shape[3] // scale)
