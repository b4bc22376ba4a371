"""A window sum of bicubically upsampled pixels as one of the pixels that these are interpolated from.

Both are linear in the feature, so that the weights of the second follow from those of the first, and neither the
upsampled feature nor its windows are ever made: s² output pixels share what they read.
"""

from __future__ import annotations

import torch
from torch import Tensor

from upsamplers.functional._torch.precision import coordinate_dtype, without_autocast

SHARPNESS = -0.75  # Keys' a, as torch interpolates


def composed_kernel(kernel: int, scale: int) -> int:
    """The side of the window of input pixels that a window of k x k output pixels is interpolated from."""
    reach = 0
    for position in range(-(kernel // 2), kernel // 2 + scale):  # around the output pixels of input pixel 0
        first, part = divmod(2 * position + 1 - scale, 2 * scale)
        reach = max(reach, 1 - first, first + 2) if part else max(reach, abs(first))
    return 2 * reach + 1


def composed_weights(weights: Tensor, kernel: int, scale: int) -> Tensor:
    """The weights of the input pixels beneath windows of output pixels, which are reflected at the borders.

    Args:
        weights: (B, k², sH, sW), where sH, sW > k // 2.
        kernel, scale: k and s.

    Returns:
        (B, m², sH, sW) with m = `composed_kernel(k, s)`, in float32 or float64; zero beyond the borders of x.
    """
    dtype = coordinate_dtype(weights)
    down, across = (_interpolation(side, kernel, scale, weights.device, dtype) for side in weights.shape[2:])
    with without_autocast(weights):
        square = weights.to(dtype).unflatten(1, (kernel, kernel))
        rows = torch.einsum("bijyx,ymi->bmjyx", square, down)
        return torch.einsum("bmjyx,xnj->bmnyx", rows, across).flatten(1, 2)


def _interpolation(side: int, kernel: int, scale: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(S, m, k): how much of each input pixel of a window is in each output pixel of one, along a side of S."""
    own = torch.arange(side, device=device).view(-1, 1, 1)  # (S, 1, 1)
    seen = (own + torch.arange(kernel, device=device) - kernel // 2).abs()  # (S, 1, k)
    seen = side - 1 - (side - 1 - seen).abs()
    composed = composed_kernel(kernel, scale)
    read = own // scale + torch.arange(composed, device=device).view(1, -1, 1) - composed // 2  # (S, m, 1)
    place = 2 * seen + 1 - scale  # in halves of an output pixel from the first input pixel's centre
    first = place.div(2 * scale, rounding_mode="floor")
    part = (place - 2 * scale * first).to(dtype) / (2 * scale)
    total = torch.zeros((), dtype=dtype, device=device)
    for tap in range(-1, 3):
        near = (first + tap).clamp(0, side // scale - 1)
        total = total + torch.where(near == read, _cubic((part - tap).abs()), 0)
    return total


def _cubic(distance: Tensor) -> Tensor:
    """Keys' weight of a pixel at a distance up to 2 (TASSP 1981, eq. 4)."""
    a = SHARPNESS
    inside = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    return torch.where(distance <= 1, inside, ((distance - 5) * distance + 8) * distance * a - 4 * a)
