"""Local deformable attention: each output pixel a weighted sum of learned points of x, by how well they answer it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from upsamplers.base import coordinate_dtype, require_divisible, require_option
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.capturing import is_being_captured
from upsamplers.functional._torch.differentiable import gradients_again
from upsamplers.functional._torch.point_attention import attend, gradients
from upsamplers.functional._torch.point_blocks import Neighbourhood


def attended_points(
    x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, hood: Neighbourhood
) -> Tensor:
    """Local deformable attention (LDA-AQU, ACM MM 2024, section 3.3).

    Point m of output pixel (i, j) lies, in output pixels, at (i + dy_m, j + dx_m) + reach · tanh(offsets), where (dy,
    dx) runs over the k x k window row by row. (0, 0) and (sH-1, sW-1) are the middles of the corner pixels of x and of
    the keys, which are read there bilinearly, zero outside; where a side of the output is a single pixel, it is read
    wherever its points lie. logits[m] = query · (key_m + bias_m) / √D over all D channels; out = Σ_m softmax(logits)_m
    · x_m.

    No sample is ever copied out. Beyond the output it takes the memory of x and the keys, at least in float32, and
    about a quarter of the output's; backward that of x and the keys twice, and of every gradient. Coordinates and sums
    are float32 at least. Both run in a fixed order, without atomic additions. Second derivatives are supported, but
    copy every sample.

    A program that is being compiled, exported or traced gets the same sum as 2k² calls of grid_sample (whose own
    backward adds atomically on a GPU).

    Args:
        x: (B, C, H, W), of any floating dtype, contiguous or channels_last.
        key: (B, D, H, W).
        query: (B, D, sH, sW).
        bias: (k², D), added to the keys.
        offsets: (B, 2Zk², sH, sW), channels ordered group · point · coordinate (y, x).
        hood: k, Z and the reach.

    Returns:
        (B, C, sH, sW) in x's dtype and memory format.

    Raises:
        Unsupported: k is even, the groups do not divide C and D, or something does not fit x.
    """
    if is_being_captured():
        return sampled_sum(x, key, query, bias, offsets, hood)
    _require_fitting(x, key, query, bias, offsets, hood)
    out: Tensor = _AttendedPoints.apply(x, key, query, bias, offsets, hood)  # type: ignore[no-untyped-call]
    return out


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
    """`attended_points` in plain operations on images, point by point."""
    dtype, out_dtype = coordinate_dtype(x), x.dtype
    x, key, query, bias = (one.to(dtype) for one in (x, key, query, bias))
    grids = _grids(offsets.to(dtype), hood)

    def sample(image: Tensor, grid: Tensor) -> Tensor:
        by_group = image.reshape(-1, image.shape[1] // hood.groups, *image.shape[2:])  # (B·Z, C/Z, H, W)
        sampled: Tensor = read(by_group, grid).reshape(-1, image.shape[1], *query.shape[2:])
        return sampled

    logits = [
        ((sample(key, grid) + own.view(1, -1, 1, 1)) * query).sum(1, keepdim=True)
        for grid, own in zip(grids, bias.unbind(), strict=True)
    ]
    weights = (torch.cat(logits, dim=1) / key.shape[1] ** 0.5).softmax(1)  # (B, k², sH, sW)
    terms = (sample(x, grid) * weights[:, point : point + 1] for point, grid in enumerate(grids))
    out: Tensor = next(terms)
    for term in terms:
        out = out + term
    return out.to(out_dtype)


def _grids(offsets: Tensor, hood: Neighbourhood) -> list[Tensor]:
    """Where each point is read, (B·Z, sH, sW, 2) in [-1, 1] with x before y, from offsets (B, 2Zk², sH, sW)."""
    tall, wide = offsets.shape[2:]
    moves = offsets.reshape(-1, 2 * hood.points, tall, wide).tanh() * hood.reach  # (B·Z, 2k², sH, sW)
    down, across = (steps.view(-1, 1, 1) for steps in hood.steps(moves))
    rows = torch.arange(tall, dtype=moves.dtype, device=moves.device)
    columns = torch.arange(wide, dtype=moves.dtype, device=moves.device)
    # The last index, as a tensor: a traced program is for any size. A single pixel is read wherever its points lie.
    y = (moves[:, 0::2] + down + rows.view(-1, 1)) / rows[-1:].clamp_min(1) * 2 - 1  # (B·Z, k², sH, sW)
    x = (moves[:, 1::2] + across + columns) / columns[-1:].clamp_min(1) * 2 - 1
    return [torch.stack((x[:, point], y[:, point]), dim=-1) for point in range(hood.points)]


class _AttendedPoints(Function):
    """Keeps its inputs alone for backward, which reads the points again."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, hood: Neighbourhood
    ) -> Tensor:
        ctx.save_for_backward(x, key, query, bias, offsets)
        ctx.hood = hood
        return attend(x, key, query, bias, offsets, hood)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Only where gradients of gradients are asked for.
        if torch.is_grad_enabled():
            form = partial(sampled_sum, hood=ctx.hood, read=_gather_bilinearly)
            return *gradients_again(form, ctx.saved_tensors, grad, ctx.needs_input_grad[:5]), None
        return *gradients(ctx.saved_tensors, grad, ctx.hood), None


def _gather_bilinearly(image: Tensor, grid: Tensor) -> Tensor:
    """`read_bilinearly` by operations that autograd can go through twice."""
    border = 2
    height, width = image.shape[2:]
    pixels = F.pad(image, (border,) * 4).flatten(2)  # (B, C, (H + 4)(W + 4))
    column, across = _split((grid[..., 0] + 1) / 2 * (width - 1), width)
    row, down = _split((grid[..., 1] + 1) / 2 * (height - 1), height)
    first = (row + border) * (width + 2 * border) + column + border  # (B, sH, sW)

    def corner(below: int, right: int) -> Tensor:
        tap = (first + below * (width + 2 * border) + right).flatten(1).unsqueeze(1)  # (B, 1, sH·sW)
        return pixels.gather(2, tap.expand(-1, pixels.shape[1], -1)).view(*pixels.shape[:2], *grid.shape[1:3])

    across, down = across.unsqueeze(1), down.unsqueeze(1)
    upper = corner(0, 0) * (1 - across) + corner(0, 1) * across
    lower = corner(1, 0) * (1 - across) + corner(1, 1) * across
    out: Tensor = upper * (1 - down) + lower * down
    return out


def _split(positions: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The whole part, at most two pixels outside, and the fraction of positions in pixels."""
    positions = positions.clamp(-2, length)
    whole = positions.detach().floor()
    return whole.long(), positions - whole


def _require_fitting(x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, hood: Neighbourhood) -> None:
    require_option("the kernel of a neighbourhood", hood.kernel, odd=True)
    for image in (x, key):
        require_divisible(image.shape[1], hood.groups, "the groups of the points")
    batch, channels = key.shape[:2]
    size = query.shape[2:]
    for name, found, expected in (
        ("keys", key, (len(x), channels, *x.shape[2:])),
        ("a query", query, (batch, channels, *size)),
        ("a bias", bias, (hood.points, channels)),
        ("offsets", offsets, (batch, 2 * hood.groups * hood.points, *size)),
    ):
        if tuple(found.shape) != expected:
            raise Unsupported(f"expected {name} of shape {expected} for x {tuple(x.shape)}, not {tuple(found.shape)}")
