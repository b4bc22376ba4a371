"""Local deformable attention and its gradients, a block of output pixels at a time; see `attended_points`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
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
from upsamplers.functional._torch.point_blocks import Block, Neighbourhood, blocks, pixels_of, write_pixels
from upsamplers.functional._torch.portable_points import sampled_sum
from upsamplers.functional._torch.precision import coordinate_dtype


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What every block reads.

    Attributes:
        values, keys: the tables (B, H + 4, W + 4, C) of x and (B, H + 4, W + 4, D) of the keys.
        query: (B, D, sH, sW).
        bias: (P, D).
        offsets: (B, 2ZP, sH, sW).
        down, across: output pixels' own rows and columns and the points' steps from there, (sH, 1, Z·P) and (sW, Z·P).
        hood: where the points are.
    """

    values: Tensor
    keys: Tensor
    query: Tensor
    bias: Tensor
    offsets: Tensor
    down: Tensor
    across: Tensor
    hood: Neighbourhood


class AttendedPoints(Function):
    """`attended_points`; saves its inputs alone for backward, which reads the points again."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, hood: Neighbourhood
    ) -> Tensor:
        """See `attended_points`."""
        ctx.save_for_backward(x, key, query, bias, offsets)
        ctx.hood = hood
        return _attend(x, key, query, bias, offsets, hood)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x, key, query, bias and offsets."""
        if torch.is_grad_enabled():  # gradients of gradients are wanted
            form = partial(sampled_sum, hood=ctx.hood, read=partial(gathered_samples, align_corners=True))
            return *gradients_again(form, ctx.saved_tensors, grad, ctx.needs_input_grad[:5]), None
        return *point_gradients(ctx.saved_tensors, grad, ctx.hood, needs_x=ctx.needs_input_grad[0]), None


def _attend(x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, hood: Neighbourhood) -> Tensor:
    """The output (B, C, sH, sW), in x's dtype and memory format."""
    inputs = _inputs(x, key, query, bias, offsets, hood)
    out = empty_feature(x, (*x.shape[:2], *query.shape[2:]))
    numbers = 11 * hood.groups * hood.points + max(query.shape[1] * (hood.points + 1), 2 * x.shape[1])
    for block in blocks(x, query, hood, numbers):
        taps = _taps(_moves(inputs, block), inputs, block)
        weights = taps.weights()
        attention = _attention(_sampled_products(taps, weights, inputs, block), inputs, block)
        weights.mul_(attention.view(len(attention), 1, -1, 1))
        count = taps.rows.shape[:2].numel()
        summed = sums_of_rows(_band(inputs.values, inputs, block), taps.rows.view(count, -1), weights.view(count, -1))
        write_pixels(summed.view(len(attention), -1), out, block)
    return out


def point_gradients(
    tensors: tuple[Tensor, ...], grad: Tensor, hood: Neighbourhood, *, needs_x: bool = True
) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x (None if not needed), key, query, bias and offsets, from that of the output (B, C, sH, sW)."""
    x, key, query, bias, offsets = tensors
    inputs = _inputs(x, key, query, bias, offsets, hood)
    grads = _Gradients(
        torch.zeros_like(inputs.values) if needs_x else None, torch.zeros_like(inputs.keys), torch.empty_like(query),
        torch.zeros_like(inputs.bias), torch.empty_like(offsets),
    )  # fmt: skip
    numbers = 40 * hood.groups * hood.points + 3 * query.shape[1] + 2 * x.shape[1]
    for block in blocks(x, query, hood, numbers):
        _add_block(grads, grad, inputs, block)
    return (
        None if grads.values is None else torch.empty_like(x).copy_(inside(grads.values)),
        torch.empty_like(key).copy_(inside(grads.keys)),
        grads.query,
        grads.bias.to(bias.dtype),
        grads.offsets,
    )


@dataclass(frozen=True, slots=True)
class _Gradients:
    """Of the tensors of `_Inputs`, filled block by block; of the values None if not needed."""

    values: Tensor | None
    keys: Tensor
    query: Tensor
    bias: Tensor
    offsets: Tensor


def _add_block(grads: _Gradients, grad: Tensor, inputs: _Inputs, block: Block) -> None:
    moves = _moves(inputs, block)
    taps = _taps(moves, inputs, block)
    pixels, groups = taps.rows.shape[:2]
    rows, weights = taps.rows.view(pixels * groups, -1), taps.weights()  # (N·Z, 4P), (N, Z, P, 4)
    keys, values = _band(inputs.keys, inputs, block), _band(inputs.values, inputs, block)
    queries = pixels_of(inputs.query, block, values.dtype)  # (N, D)
    outer = pixels_of(grad, block, values.dtype)  # (N, C)
    of_query = dots_with_rows(keys, rows, queries.view(len(rows), -1)).view(weights.shape)
    of_grad = dots_with_rows(values, rows, outer.view(len(rows), -1)).view(weights.shape)
    attention = _attention(taps.between(of_query).sum(1), inputs, block)  # (N, P)
    pull = attention * taps.between(of_grad).sum(1)
    pull = pull.sub_(attention * pull.sum(1, keepdim=True)).div_(queries.shape[1] ** 0.5)  # (N, P), of the products

    by_attention, by_pull = attention.view(pixels, 1, -1, 1), pull.view(pixels, 1, -1, 1)
    slopes = taps.slopes(of_grad.mul_(by_attention).add_(of_query.mul_(by_pull)))
    _write_offsets(slopes, moves, grads.offsets, inputs, block)
    spread = Spread(rows, len(values))
    if grads.values is not None:
        _band(grads.values, inputs, block).add_(spread.sums(outer.view(len(rows), -1), weights * by_attention))
    weights.mul_(by_pull)
    _band(grads.keys, inputs, block).add_(spread.sums(queries.view(len(rows), -1), weights))
    # Written to a given tensor, which autocast leaves alone.
    torch.addmm(grads.bias, pull.t(), queries, out=grads.bias)
    of_queries = sums_of_rows(keys, rows, weights.view(rows.shape)).view(pixels, -1)
    torch.addmm(of_queries, pull, inputs.bias, out=of_queries)
    write_pixels(of_queries, grads.query, block)


def _inputs(x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, hood: Neighbourhood) -> _Inputs:
    dtype = coordinate_dtype(x)
    values, keys, bias = table_of(x, dtype), table_of(key, dtype), bias.to(dtype)
    below, right = hood.steps(values)
    rows = torch.arange(query.shape[2], dtype=dtype, device=x.device)
    columns = torch.arange(query.shape[3], dtype=dtype, device=x.device)
    down = (rows.unsqueeze(1) + below.repeat(hood.groups)).unsqueeze(1)  # (sH, 1, Z·P)
    across = columns.unsqueeze(1) + right.repeat(hood.groups)  # (sW, Z·P)
    return _Inputs(values, keys, query, bias, offsets, down, across, hood)


def _band(table: Tensor, inputs: _Inputs, block: Block) -> Tensor:
    """What a block reads of a table, or gives to it: (R, C/Z)."""
    return table[block.images, block.band].view(-1, table.shape[3] // inputs.hood.groups)


def _moves(inputs: _Inputs, block: Block) -> Tensor:
    """How far points are moved, in reaches, down and across: (B, rows, sW, Z·P, 2)."""
    part = inputs.offsets[block.images, :, block.rows].permute(0, 2, 3, 1)
    moves: Tensor = part.to(inputs.values.dtype).tanh().unflatten(3, (-1, 2))
    return moves


def _taps(moves: Tensor, inputs: _Inputs, block: Block) -> Taps:
    groups, (height, width), (tall, wide) = inputs.hood.groups, inputs.values.shape[1:3], inputs.query.shape[2:]
    axes = (
        (moves[..., 0], inputs.down[block.rows], height, tall, BORDER - block.band.start),
        (moves[..., 1], inputs.across, width, wide, BORDER),
    )
    positions = []
    for moved, homes, inner, outer, shift in axes:
        # Multiplied before it is divided, so that what is an integer comes out as one.
        position = torch.add(homes, moved, alpha=inputs.hood.reach)
        position.mul_(inner - 2 * BORDER - 1).div_(max(1, outer - 1)).add_(shift)
        positions.append(position.unflatten(3, (groups, -1)))
    return find_taps(positions[0], positions[1], (block.band.stop - block.band.start, width, groups))


def _write_offsets(slopes: tuple[Tensor, Tensor], moves: Tensor, target: Tensor, inputs: _Inputs, block: Block) -> None:
    """Writes the offsets' gradient, given how fast the sum changes as points go down and across; spoils `moves`."""
    height, width = inputs.values.shape[1:3]
    tall, wide = inputs.query.shape[2:]
    # Input pixels to an output pixel, down and across; a side of a single pixel has no spacing.
    below = (height - 2 * BORDER - 1) / max(1, tall - 1)
    right = (width - 2 * BORDER - 1) / max(1, wide - 1)
    reach = inputs.hood.reach
    grad = torch.stack((slopes[0] * (below * reach), slopes[1] * (right * reach)), dim=-1).view(moves.shape)
    grad.addcmul_(grad, moves.square_(), value=-1)
    write_pixels(grad.view(len(slopes[0]), -1), target, block)


def _sampled_products(taps: Taps, weights: Tensor, inputs: _Inputs, block: Block) -> Tensor:
    """Products of each pixel's query with its sampled keys, (N, P)."""
    pixels, groups, points = taps.rows.shape[:3]
    keys = _band(inputs.keys, inputs, block)
    sampled = sums_of_rows(keys, taps.rows.view(-1, 4), weights.view(-1, 4)).view(pixels * groups, points, -1)
    queries = pixels_of(inputs.query, block, keys.dtype).view(pixels * groups, -1, 1)
    products = sampled.new_empty((pixels * groups, points, 1))
    # Written to a given tensor, which autocast leaves alone.
    torch.bmm(sampled, queries, out=products)
    return products.view(pixels, groups, points).sum(1)


def _attention(products: Tensor, inputs: _Inputs, block: Block) -> Tensor:
    """The weights of the points, (N, P), from the products of query and keys."""
    queries, scale = pixels_of(inputs.query, block, products.dtype), inputs.bias.shape[1] ** -0.5
    torch.addmm(products, queries, inputs.bias.t(), beta=scale, alpha=scale, out=products)
    return products.softmax(1)
