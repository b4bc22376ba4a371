"""Point sampling: one displaced point of the low-resolution feature for every output pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.pixel_shuffle import pixel_shuffle
from upsamplers.functional._torch.precision import coordinate_dtype


def normalised_points(displacement: Tensor, scale: int) -> Tensor:
    """Where output pixels sample, from their displacement in pixels of the input.

    Output pixel (s·i + a, s·j + b) samples at (j + ½ + d_x, i + ½ + d_y) pixels, normalised by 2·/(W, H) − 1.
    The arithmetic stays in the displacement's dtype, which therefore is float32 or float64: in bfloat16 j + ½ is not
    representable from column 128 on.

    Args:
        displacement: (B, 2Zs², H, W), channels ordered coordinate (x, y) · group · position s·a + b.
        scale: s.

    Returns:
        (B, 2, Z, sH, sW) in [-1, 1] inside the image.
    """
    batch, _, height, width = displacement.shape
    columns, rows = _centres(width, displacement), _centres(height, displacement)
    d_x, d_y = displacement.chunk(2, dim=1)  # (B, Zs², H, W)
    x = torch.add(columns, d_x, alpha=2 / width)
    y = torch.add(rows.view(-1, 1), d_y, alpha=2 / height)
    points = pixel_shuffle(torch.cat((x, y), dim=1), scale)  # (B, 2Z, sH, sW)
    return points.view(batch, 2, points.shape[1] // 2, scale * height, scale * width)


def _centres(size: int, like: Tensor) -> Tensor:
    """The centres of `size` pixels, normalised to [-1, 1]."""
    return (torch.arange(size, dtype=like.dtype, device=like.device) * 2 + 1) / size - 1


def sample_points(x: Tensor, displacement: Tensor, scale: int) -> Tensor:
    """Reads x bilinearly at the displaced points; beyond its borders the border repeats.

    A half-precision x is read in float32, since grid_sample takes x and points in one dtype: that costs a float32 copy
    of x and of the output while it runs.

    Args:
        x: (B, C, H, W).
        displacement: (B, 2Zs², H, W), see normalised_points; each of the Z contiguous channel groups has its own.
        scale: s.

    Returns:
        (B, C, sH, sW) in x's dtype.
    """
    dtype = coordinate_dtype(x)
    points = normalised_points(displacement.to(dtype), scale)  # (B, 2, Z, sH, sW)
    groups, height, width = points.shape[2:]
    grid = points.permute(0, 2, 3, 4, 1).reshape(len(x) * groups, height, width, 2)  # (B·Z, sH, sW, 2)
    source = x.to(dtype).reshape(len(grid), x.shape[1] // groups, *x.shape[2:])  # (B·Z, C/Z, H, W)
    out = F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return out.view(x.shape[0], x.shape[1], height, width).to(x.dtype)
