"""Bilinear samples at points that may not be finite, as a network's that diverges are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from upsamplers.functional._torch.plain_operations import needs_plain_operations


def sample_grid(source: Tensor, grid: Tensor, moved: Tensor, *, align_corners: bool) -> Tensor:
    """F.grid_sample, bilinear, with the border repeated; a point that is not finite gives NaN.

    On a CPU torch's own leaves its memory for such a point, and gives finite numbers for some. They are looked for only
    there, in eager mode: elsewhere it would make the host wait for the device, or a program depend on data.

    Args:
        source: (B, C, H, W).
        grid: (B, sH, sW, 2), made of `moved`.
        moved: what may not be finite.
        align_corners: as in F.grid_sample.

    Returns:
        (B, C, sH, sW).
    """
    options = {"mode": "bilinear", "padding_mode": "border", "align_corners": align_corners}
    has_values = grid.device.type == "cpu" and not isinstance(grid, FakeTensor)
    is_looked_for = has_values and not needs_plain_operations()
    if not is_looked_for or bool(moved.detach().sum().isfinite()):
        return F.grid_sample(source, grid, **options)  # type: ignore[arg-type]
    bad = ~grid.detach().isfinite().all(-1, keepdim=True)  # (B, sH, sW, 1)
    sampled = F.grid_sample(source, grid.masked_fill(bad, 0), **options)  # type: ignore[arg-type]
    # Products, so that the gradients of bad points are NaN too, and those of good points are as they were.
    poison = grid.masked_fill(~bad, 0) * torch.zeros_like(grid).masked_fill_(bad, float("nan"))
    return sampled + poison.sum(-1).unsqueeze(1).to(sampled.dtype)
