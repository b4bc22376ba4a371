"""Filtering every channel of an image with filters that belong to that image alone."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from upsamplers.base import coordinate_dtype
from upsamplers.functional._torch.capturing import is_being_captured
from upsamplers.functional._torch.differentiable import gradients_again

STRIDE = 2
BLOCK, TILE = 16, 8


def filtered_by_own(y: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
    """Every channel of each image filtered with stride 2 by that image's own filters (A2U, CVPR 2021, section 4.2).

    Backward reads y again and makes one gradient of it for all filters. A program that is being compiled, exported or
    traced gets products of shifted views: exporters want the groups of a convolution fixed, which here grow with the
    batch.

    Args:
        y: (B, G, 2H, 2W).
        filters: (B, N, k, k), k even; cast to y's dtype.

    Returns:
        N of (B, G, H, W).
    """
    filters = filters.to(y.dtype)
    if is_being_captured():
        return shifted_filters(y, filters)
    found: tuple[Tensor, ...] = _Filter.apply(y, filters)  # type: ignore[no-untyped-call]
    return found


def shifted_filters(y: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
    """`filtered_by_own` in plain differentiable operations on images: N · k² · G · H · W products an image."""
    side, (tall, wide) = filters.shape[2], y.shape[2:]
    padded = F.pad(y, (_padding(filters),) * 4)
    views = [
        padded[:, :, down : down + tall : STRIDE, across : across + wide : STRIDE]
        for down in range(side)
        for across in range(side)
    ]
    # (B, k², 1, 1) for each of the N.
    return tuple(_weighted(views, one.flatten(1)[..., None, None]) for one in filters.unbind(1))


def _weighted(views: list[Tensor], weights: Tensor) -> Tensor:
    """The sum of views (B, G, H, W), each times its channel of the weights (B, k², 1, 1)."""
    out = views[0] * weights[:, :1]
    for tap, view in enumerate(views[1:], start=1):
        out = out + view * weights[:, tap : tap + 1]
    return out


class _Filter(Function):
    """Keeps y and the filters alone for backward."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(y, filters)
        batch, channels, tall, wide = y.shape
        folded = y.reshape(1, batch * channels, tall, wide)
        weights = filters[:, :, None].expand(-1, -1, channels, -1, -1).transpose(0, 1)  # (N, B, G, k, k)
        groups, padding = batch * channels, _padding(filters)
        found = [F.conv2d(folded, one.flatten(0, 1).unsqueeze(1), None, STRIDE, padding, 1, groups) for one in weights]
        # Under autocast the convolution answers in half precision; backward takes y's.
        return tuple(one.view(batch, channels, tall // STRIDE, wide // STRIDE).to(y.dtype) for one in found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        y, filters = ctx.saved_tensors
        needs = ctx.needs_input_grad
        # Only where gradients of gradients are asked for.
        if torch.is_grad_enabled():
            return gradients_again(_stacked, (y, filters), torch.stack(grads), needs)
        grad_y = torch.empty_like(y) if needs[0] else None
        grad_filters = torch.zeros_like(filters, dtype=coordinate_dtype(filters))
        # On a CPU some channels at a time, so that they stay in a cache from one filter to the next.
        block = BLOCK if y.device.type == "cpu" else max(y.shape[1], 1)
        for image in range(y.shape[0]):
            for first in range(0, y.shape[1], block):
                own, own_grads = y[image, first : first + block], [grad[image, first : first + block] for grad in grads]
                if grad_y is not None:
                    grad_y[image, first : first + block].copy_(_spread(own_grads, filters[image]))
                if needs[1]:
                    grad_filters[image].add_(_correlated(own, own_grads, filters.shape[-1]))
        return grad_y, grad_filters.to(filters.dtype) if needs[1] else None


def _spread(grads: list[Tensor], filters: Tensor) -> Tensor:
    """The gradient (G, 2H, 2W) of some channels of one image, from those of its N outputs (G, H, W)."""
    out: Tensor | None = None
    for grad, one in zip(grads, filters.to(grads[0].dtype), strict=True):
        weight = one.expand(len(grad), 1, -1, -1)
        found = F.conv_transpose2d(grad[None], weight, None, STRIDE, _padding(filters), groups=len(grad))
        out = found if out is None else out.add_(found)
    assert out is not None
    return out[0]


def _correlated(y: Tensor, grads: list[Tensor], side: int) -> Tensor:
    """The share of some channels of one image in the gradient of its filters (N, k, k).

    It correlates grads (G, H, W) with y (G, 2H, 2W), as products of large matrices: in tiles of T columns, for each row
    of the filter, what y has in the 2T + k - 2 columns that the tile sees times the tile, summed over all rows of
    all channels. Most of such a product is dropped, and it is still three times faster than a convolution's backward.
    """
    dtype, count = coordinate_dtype(y), len(grads)
    channels, height, width = grads[0].shape
    tiles, rows = -(-width // TILE), height + side // 2 - 1
    columns, seen = STRIDE * tiles * TILE + side - STRIDE, STRIDE * TILE + side - STRIDE
    flat = torch.zeros((STRIDE * channels * rows + side) * columns, dtype=dtype, device=y.device)
    padded = flat[: STRIDE * channels * rows * columns].view(channels, STRIDE * rows, columns)
    border = side // 2 - 1
    padded[:, border : border + STRIDE * height, border : border + STRIDE * width].copy_(y)
    tiled = torch.zeros((tiles, channels, rows, count, TILE), dtype=dtype, device=y.device)
    for place, grad in enumerate(grads):
        full = F.pad(grad.to(dtype), (0, tiles * TILE - width)).unflatten(2, (tiles, TILE))  # (G, H, tiles, T)
        tiled[:, :, :height, place].copy_(full.permute(2, 0, 1, 3))
    right = tiled.view(tiles, channels * rows, count * TILE)
    products = []
    for down in range(side):
        strides = (STRIDE * TILE, 1, STRIDE * columns)
        left = flat.as_strided((tiles, seen, channels * rows), strides, down * columns)
        products.append(torch.bmm(left, right).sum(0).view(seen, count, TILE))
    step = torch.arange(TILE, device=y.device)
    by_row = torch.stack(products)  # (k, 2T + k - 2, N, T)
    taps = [by_row[:, STRIDE * step + across, :, step].sum(0) for across in range(side)]  # k of (k, N)
    return torch.stack(taps, -1).transpose(0, 1)


def _stacked(y: Tensor, filters: Tensor) -> Tensor:
    return torch.stack(shifted_filters(y, filters))


def _padding(filters: Tensor) -> int:
    return filters.shape[-1] // 2 - 1
