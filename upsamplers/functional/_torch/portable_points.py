"""`attended_points` in plain operations on images, point by point, for programs of any size."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.point_blocks import Neighbourhood
from upsamplers.functional._torch.precision import coordinate_dtype

Read = Callable[[Tensor, Tensor], Tensor]


def read_bilinearly(image: Tensor, grid: Tensor) -> Tensor:
    """`grid_sample` of an image (B, C, H, W) at a grid (B, sH, sW, 2) in [-1, 1], zero outside."""
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def sampled_sum(
    x: Tensor,
    key: Tensor,
    query: Tensor,
    bias: Tensor,
    offsets: Tensor,
    hood: Neighbourhood,
    read: Read = read_bilinearly,
) -> Tensor:
    """`attended_points`, with the samples that `read` takes."""
    dtype, out_dtype = coordinate_dtype(x), x.dtype
    x, key, query, bias = (tensor.to(dtype) for tensor in (x, key, query, bias))
    grids = _grids(offsets.to(dtype), hood)

    def sample(image: Tensor, grid: Tensor) -> Tensor:
        by_group = image.reshape(-1, image.shape[1] // hood.groups, *image.shape[2:])  # (B·Z, C/Z, H, W)
        sampled: Tensor = read(by_group, grid).reshape(-1, image.shape[1], *query.shape[2:])
        return sampled

    logits = [
        ((sample(key, grid) + shift.view(1, -1, 1, 1)) * query).sum(1, keepdim=True)
        for grid, shift in zip(grids, bias.unbind(), strict=True)
    ]
    weights = (torch.cat(logits, dim=1) / key.shape[1] ** 0.5).softmax(1)  # (B, k², sH, sW)
    out: Tensor = sample(x, grids[0]) * weights[:, :1]
    for point, grid in enumerate(grids[1:], start=1):
        out = out + sample(x, grid) * weights[:, point : point + 1]
    return out.to(out_dtype)


def _grids(offsets: Tensor, hood: Neighbourhood) -> list[Tensor]:
    """Where each point is read, (B·Z, sH, sW, 2) in [-1, 1] with x before y, from offsets (B, 2Zk², sH, sW)."""
    tall, wide = offsets.shape[2:]
    moves = offsets.reshape(-1, 2 * hood.points, tall, wide).tanh() * hood.reach  # (B·Z, 2k², sH, sW)
    down, across = (steps.view(-1, 1, 1) for steps in hood.steps(moves))
    rows = torch.arange(tall, dtype=moves.dtype, device=moves.device)
    columns = torch.arange(wide, dtype=moves.dtype, device=moves.device)
    # The last index, as a tensor: a traced program is for any size. A single pixel has no spacing.
    y = (moves[:, 0::2] + down + rows.view(-1, 1)) / rows[-1:].clamp_min(1) * 2 - 1  # (B·Z, k², sH, sW)
    x = (moves[:, 1::2] + across + columns) / columns[-1:].clamp_min(1) * 2 - 1
    return [torch.stack((x[:, point], y[:, point]), dim=-1) for point in range(hood.points)]
