"""`F.grid_sample` by gathers: for engines without its node, and with derivatives of every order."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.errors import Unsupported

GRID_SAMPLE = "GridSample"
MODES, PADDINGS = ("bilinear", "nearest"), ("zeros", "border")


def gathered_samples(
    input: Tensor,  # the names are torch's, for calls by keyword
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """`F.grid_sample` of images (B, C, H, W) at a grid (B, h, w, 2), by rows of a table.

    Returns:
        (B, C, h, w).

    Raises:
        Unsupported: volumes, and modes and paddings without this form.
    """
    if input.dim() != 4:
        raise Unsupported(f"no form without {GRID_SAMPLE} of inputs {tuple(input.shape)}; expected (B, C, H, W)")
    if mode not in MODES or padding_mode not in PADDINGS:
        accepted = f"modes {' and '.join(MODES)}, padding {' and '.join(PADDINGS)}"
        raise Unsupported(f"no form without {GRID_SAMPLE} of mode {mode} with padding {padding_mode}; {accepted} have")
    batch, channels, height, width = input.shape
    # Points outside read a border of zeros. The last row and column have a next one, which weighs nothing.
    border = 1 if padding_mode == "zeros" else 0
    wide = width + 2 * border + 1
    table = F.pad(input, (border, border + 1) * 2).permute(0, 2, 3, 1).reshape(-1, channels)
    x = _pixels(grid[..., 0], width, align_corners).clamp(-border, width - 1 + border) + border  # (B, h, w)
    y = _pixels(grid[..., 1], height, align_corners).clamp(-border, height - 1 + border) + border
    left, top = (x.floor(), y.floor()) if mode == "bilinear" else (x.round(), y.round())
    image = torch.arange(batch, device=input.device).view(-1, 1, 1) * ((height + 2 * border + 1) * wide)
    first = (image + top.long() * wide + left.long()).flatten()  # (B·h·w)
    first = first.clamp(0, table.shape[0] - wide - 2)  # of a NaN it may be any integer; the weights are NaN then

    def read(step: int, weight: Tensor | None = None) -> Tensor:
        """The pixels (B·h·w, C) that many rows of the table further, times a weight (B, h, w)."""
        pixels = table.index_select(0, first + step)
        return pixels if weight is None else pixels * weight.reshape(-1, 1)

    if mode == "nearest":
        out = read(0)
    else:
        across, down = x - left, y - top
        upper = read(0, (1 - down) * (1 - across)) + read(1, (1 - down) * across)
        out = upper + read(wide, down * (1 - across)) + read(wide + 1, down * across)
    return out.view(batch, *grid.shape[1:3], channels).permute(0, 3, 1, 2).contiguous()  # (B, C, h, w)


def _pixels(normalised: Tensor, size: int, align_corners: bool | None) -> Tensor:
    """Positions in pixels of positions in [-1, 1]."""
    if align_corners:
        return (normalised + 1) / 2 * (size - 1)
    return ((normalised + 1) * size - 1) / 2
