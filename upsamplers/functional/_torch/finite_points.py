"""Bilinear samples at points that may not be finite, as a network's that diverges are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from upsamplers.functional._torch.plain_operations import needs_plain_operations


def are_finite(moved: Tensor) -> bool:
    """Whether what points are made of is finite; looked for on a CPU only, in eager mode.

    There torch's grid_sample leaves its memory for other points. Elsewhere the host would have to wait for the device,
    or a program would depend on data.
    """
    has_values = moved.device.type == "cpu" and not isinstance(moved, FakeTensor)
    return not has_values or needs_plain_operations() or bool(moved.detach().sum().isfinite())


def sample_grid(source: Tensor, grid: Tensor, *, are_finite: bool, align_corners: bool) -> Tensor:
    """F.grid_sample, bilinear, with the border repeated; a point that is not finite gives NaN.

    Args:
        source: (B, C, H, W).
        grid: (B, sH, sW, 2).
        are_finite: whether all points are finite, by the function of that name.
        align_corners: as in F.grid_sample.

    Returns:
        (B, C, sH, sW).
    """
    options = {"mode": "bilinear", "padding_mode": "border", "align_corners": align_corners}
    if are_finite:
        return F.grid_sample(source, grid, **options)  # type: ignore[arg-type]
    bad = ~grid.detach().isfinite().all(-1, keepdim=True)  # (B, sH, sW, 1)
    sampled = F.grid_sample(source, grid.masked_fill(bad, 0), **options)  # type: ignore[arg-type]
    # Products, so that the gradients of bad points are NaN too, and those of good points are as they were.
    poison = grid.masked_fill(~bad, 0) * torch.zeros_like(grid).masked_fill_(bad, float("nan"))
    return sampled + poison.sum(-1).unsqueeze(1).to(sampled.dtype)
