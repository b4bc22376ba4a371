"""Dynamic selection and its gradients, a block of output pixels at a time; see `selected_points`."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from upsamplers.functional._torch.bilinear_taps import (
    BORDER,
    Spread,
    Taps,
    dots_with_rows,
    find_taps,
    inside,
    sums_of_rows,
    table_of,
)
from upsamplers.functional._torch.differentiable import gradients_again
from upsamplers.functional._torch.gathered_samples import gathered_samples
from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._torch.point_blocks import Block, blocks, pixels_of, write_pixels
from upsamplers.functional._torch.portable_points import Read, read_bilinearly
from upsamplers.functional._torch.precision import coordinate_dtype


class SelectedPoints(Function):
    """`selected_points`; saves its inputs alone for backward, which reads the points again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, key: Tensor, query: Tensor, offsets: Tensor, groups: int, scale: int) -> Tensor:
        """See `selected_points`."""
        ctx.save_for_backward(x, key, query, offsets)
        ctx.sizes = (groups, scale)
        return _select(x, key, query, offsets, groups, scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x, key, query and offsets."""
        groups, scale = ctx.sizes
        if torch.is_grad_enabled():  # gradients of gradients are wanted
            gathered = partial(gathered_samples, align_corners=True)
            form = partial(sampled_selection, groups=groups, scale=scale, read=gathered)
            return *gradients_again(form, ctx.saved_tensors, grad, ctx.needs_input_grad[:4]), None, None
        x, key, query, offsets = ctx.saved_tensors
        needs_x = ctx.needs_input_grad[0]
        return *selection_gradients(x, key, query, offsets, grad, groups, scale, needs_x=needs_x), None, None


def sampled_selection(
    x: Tensor, key: Tensor, query: Tensor, offsets: Tensor, groups: int, scale: int, *, read: Read = read_bilinearly
) -> Tensor:
    """`selected_points` in plain operations on images, point by point, with the samples that `read` takes."""
    dtype, out_dtype, (height, width) = coordinate_dtype(x), x.dtype, x.shape[2:]
    tall, wide = query.shape[2:]
    # Zeros around: a side of one pixel would have no spacing.
    images, keys = (
        F.pad(one.to(dtype), (1, 1, 1, 1)).reshape(-1, one.shape[1] // groups, height + 2, width + 2)
        for one in (x, key)
    )  # (B·Z, C/Z, H + 2, W + 2)
    queries = query.to(dtype).reshape(-1, query.shape[1] // groups, tall, wide)
    moves = offsets.to(dtype).reshape(len(queries), -1, 2, tall, wide)  # (B·Z, P, 2, sH, sW)
    across = (moves[:, :, 0] + _own(wide, scale, moves) + 1) / (width + 1) * 2 - 1
    down = (moves[:, :, 1] + _own(tall, scale, moves).unsqueeze(1) + 1) / (height + 1) * 2 - 1
    grids = [torch.stack(pair, dim=-1) for pair in zip(across.unbind(1), down.unbind(1), strict=True)]
    logits = [(read(keys, grid) * queries).sum(1, keepdim=True) for grid in grids]
    weights = torch.cat(logits, dim=1).softmax(1)  # (B·Z, P, sH, sW)
    out = read(images, grids[0]) * weights[:, :1]
    for point, grid in enumerate(grids[1:], start=1):
        out = out + read(images, grid) * weights[:, point : point + 1]
    return out.reshape(-1, x.shape[1], tall, wide).to(out_dtype)


def _own(length: int, scale: int, like: Tensor) -> Tensor:
    """The input pixels of `length` output pixels."""
    return torch.arange(length, device=like.device).div(scale, rounding_mode="floor").to(like.dtype)


def _select(x: Tensor, key: Tensor, query: Tensor, offsets: Tensor, groups: int, scale: int) -> Tensor:
    out = empty_feature(x, (*x.shape[:2], *query.shape[2:]))
    dtype = coordinate_dtype(x)
    tables = table_of(x, dtype), table_of(key, dtype)
    for block in blocks(x, query, None, 7 * offsets.shape[1] + query.shape[1] + x.shape[1]):
        values, keys = (_rows(table, block, groups) for table in tables)
        taps, of_query, _ = _looked_up(keys, query, offsets, block, tables[0], groups, scale)
        attention = taps.between(of_query).softmax(2)  # (N, Z, P)
        weights = taps.weights().mul_(attention.unsqueeze(3))
        rows = taps.rows.flatten(0, 1).flatten(1)  # (N·Z, 4P)
        summed = sums_of_rows(values, rows, weights.view(rows.shape))
        write_pixels(summed.view(len(attention), -1), out, block)
    return out


def selection_gradients(
    x: Tensor,
    key: Tensor,
    query: Tensor,
    offsets: Tensor,
    grad: Tensor,
    groups: int,
    scale: int,
    *,
    needs_x: bool = True,
) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
    dtype = coordinate_dtype(x)
    tables = table_of(x, dtype), table_of(key, dtype)
    grad_values, grad_keys = torch.zeros_like(tables[0]) if needs_x else None, torch.zeros_like(tables[1])
    grad_query, grad_offsets = torch.empty_like(query), torch.empty_like(offsets)
    for block in blocks(x, query, None, 20 * offsets.shape[1] + 2 * query.shape[1] + x.shape[1]):
        values, keys = (_rows(table, block, groups) for table in tables)
        taps, of_query, queries = _looked_up(keys, query, offsets, block, tables[0], groups, scale)
        rows = taps.rows.flatten(0, 1).flatten(1)
        outer = pixels_of(grad, block, dtype).view(len(rows), -1)  # (N·Z, C/Z)
        of_grad = dots_with_rows(values, rows, outer).view(of_query.shape)
        attention = taps.between(of_query).softmax(2)
        pull = attention * taps.between(of_grad)
        pull = pull.sub_(attention * pull.sum(2, keepdim=True))  # (N, Z, P), of the logits

        attention, pull = attention.unsqueeze(3), pull.unsqueeze(3)
        slopes = taps.slopes(of_grad.mul_(attention).add_(of_query.mul_(pull)))
        moved = torch.stack((slopes[1], slopes[0]), dim=-1)  # (N, Z, P, 2): across, down
        write_pixels(moved.view(len(moved), -1), grad_offsets, block)
        spread, weights = Spread(rows, len(values)), taps.weights()
        if grad_values is not None:
            _rows(grad_values, block, groups).add_(spread.sums(outer, (weights * attention).view(rows.shape)))
        weights.mul_(pull)
        _rows(grad_keys, block, groups).add_(spread.sums(queries, weights.view(rows.shape)))
        write_pixels(sums_of_rows(keys, rows, weights.view(rows.shape)).view(len(moved), -1), grad_query, block)
    grad_x = None if grad_values is None else torch.empty_like(x).copy_(inside(grad_values))
    return grad_x, torch.empty_like(key).copy_(inside(grad_keys)), grad_query, grad_offsets


def _looked_up(
    keys: Tensor, query: Tensor, offsets: Tensor, block: Block, table: Tensor, groups: int, scale: int
) -> tuple[Taps, Tensor, Tensor]:
    """A block's taps, the products (N, Z, P, 4) of queries with the keys there, and the queries (N·Z, D/Z)."""
    dtype, (tall, wide) = table.dtype, query.shape[2:]
    moves = offsets[block.images, :, block.rows].permute(0, 2, 3, 1).to(dtype)
    moves = moves.unflatten(3, (groups, -1, 2))  # (B, rows, sW, Z, P, 2)
    down = moves[..., 1] + (_own(tall, scale, moves)[block.rows] + BORDER).view(-1, 1, 1, 1)
    across = moves[..., 0] + (_own(wide, scale, moves) + BORDER).view(-1, 1, 1)
    taps = find_taps(down, across, (table.shape[1], table.shape[2], groups))
    queries = pixels_of(query, block, dtype).view(-1, query.shape[1] // groups)
    rows = taps.rows.flatten(0, 1).flatten(1)
    return taps, dots_with_rows(keys, rows, queries).view(taps.rows.shape), queries


def _rows(table: Tensor, block: Block, groups: int) -> Tensor:
    """A block's images of a table, a row for each pixel and group."""
    return table[block.images].view(-1, table.shape[3] // groups)
