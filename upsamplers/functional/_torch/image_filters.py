"""`filter_per_image`: convolutions with a group for every channel, and a backward of large products."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from upsamplers.functional._torch.differentiable import gradients_again
from upsamplers.functional._torch.precision import coordinate_dtype

STRIDE = 2
# Channels, and columns of an image, that backward takes at a time.
BLOCK, TILE = 16, 8


def shifted_filters(y: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
    """`filter_per_image` in plain differentiable operations on images: N · k² · G · H · W products an image."""
    side, (tall, wide) = filters.shape[2], y.shape[2:]
    padded = F.pad(y, (_padding(filters),) * 4)
    outputs: list[Tensor] = []
    for weights in filters.flatten(2).unbind(1):  # (B, k²)
        total: Tensor | None = None
        for tap in range(side**2):
            down, across = tap // side, tap % side
            view = padded[:, :, down : down + tall : STRIDE, across : across + wide : STRIDE]  # (B, G, H, W)
            term = view * weights[:, tap, None, None, None]
            total = term if total is None else total + term
        assert total is not None
        outputs.append(total)
    return tuple(outputs)


class ImageFilters(Function):
    """`filter_per_image`; saves y and the filters alone for backward."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
        """See `filter_per_image`."""
        ctx.save_for_backward(y, filters)
        batch, channels, tall, wide = y.shape
        if batch == 0:  # a convolution of no groups is refused
            return tuple(y.new_zeros(0, channels, tall // STRIDE, wide // STRIDE) for _ in range(filters.shape[1]))
        # To a convolution a reshaped channels_last image is none: it copies it.
        folded = y if batch == 1 else y.reshape(1, batch * channels, tall, wide)
        weights = filters[:, :, None].expand(-1, -1, channels, -1, -1).transpose(0, 1)  # (N, B, G, k, k)
        groups, padding = batch * channels, _padding(filters)
        filtered = [F.conv2d(folded, w.flatten(0, 1).unsqueeze(1), None, STRIDE, padding, 1, groups) for w in weights]
        # Under autocast the convolution answers in half precision; backward takes y's.
        return tuple(out.view(batch, channels, tall // STRIDE, wide // STRIDE).to(y.dtype) for out in filtered)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of y and of the filters."""
        y, filters = ctx.saved_tensors
        needs = ctx.needs_input_grad
        if torch.is_grad_enabled():  # gradients of gradients are wanted
            return gradients_again(
                lambda *both: torch.stack(shifted_filters(*both)), (y, filters), torch.stack(grads), needs
            )
        grad_y = torch.empty_like(y) if needs[0] else None
        grad_filters = torch.zeros_like(filters, dtype=coordinate_dtype(filters))
        # On a CPU some channels at a time, so that they stay in a cache from one filter to the next; and in float32:
        # a transposed convolution in half precision takes ten times as long.
        is_cpu = y.device.type == "cpu"
        block, dtype = (BLOCK, coordinate_dtype(y)) if is_cpu else (max(y.shape[1], 1), y.dtype)
        for image in range(y.shape[0]):
            for first in range(0, y.shape[1], block):
                part = slice(first, first + block)
                grads_part = [grad[image, part].to(dtype) for grad in grads]
                if grad_y is not None:
                    grad_y[image, part].copy_(_spread(grads_part, filters[image]))
                if needs[1]:
                    grad_filters[image].add_(_correlated(y[image, part], grads_part, filters.shape[-1]))
        return grad_y, grad_filters.to(filters.dtype) if needs[1] else None


def _spread(grads: list[Tensor], filters: Tensor) -> Tensor:
    """The gradient (G, 2H, 2W) of some channels of one image, from those of its N outputs (G, H, W)."""
    total: Tensor | None = None
    for grad, kernel in zip(grads, filters.to(grads[0].dtype), strict=True):
        weight = kernel.expand(len(grad), 1, -1, -1)
        term = F.conv_transpose2d(grad[None], weight, None, STRIDE, _padding(filters), groups=len(grad))
        total = term if total is None else total.add_(term)
    assert total is not None
    return total[0]


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
    for index, grad in enumerate(grads):
        full = F.pad(grad.to(dtype), (0, tiles * TILE - width)).unflatten(2, (tiles, TILE))  # (G, H, tiles, T)
        tiled[:, :, :height, index].copy_(full.permute(2, 0, 1, 3))
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


def _padding(filters: Tensor) -> int:
    return filters.shape[-1] // 2 - 1
