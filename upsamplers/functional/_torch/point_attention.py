"""Local deformable attention and its gradients, a block of output pixels at a time; see `attended_points`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from upsamplers.base import coordinate_dtype
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
from upsamplers.functional._torch.point_blocks import Block, Neighbourhood, blocks, pixels_of, write_pixels


@dataclass(frozen=True, slots=True)
class Scene:
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

    def ratios(self) -> tuple[float, float]:
        """Input pixels to an output pixel, down and across; a side of a single pixel has no spacing."""
        return self._ratio(1, 2), self._ratio(2, 3)

    def _ratio(self, inner: int, outer: int) -> float:
        return (self.values.shape[inner] - 2 * BORDER - 1) / max(1, self.query.shape[outer] - 1)


def attend(x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, hood: Neighbourhood) -> Tensor:
    """What output pixels see of x (B, C, sH, sW), in x's dtype and memory format."""
    scene = _scene(x, key, query, bias, offsets, hood)
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    out = torch.empty(
        (*x.shape[:2], *query.shape[2:]),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )
    numbers = 11 * hood.groups * hood.points + max(query.shape[1] * (hood.points + 1), 2 * x.shape[1])
    for block in blocks(x, query, hood, numbers):
        taps = _taps(_moves(scene, block), scene, block)
        weights = taps.weights()
        attention = _attention(_sampled_products(taps, weights, scene, block), scene, block)
        weights.mul_(attention.view(len(attention), 1, -1, 1))
        count = taps.rows.shape[:2].numel()
        summed = sums_of_rows(_band(scene.values, scene, block), taps.rows.view(count, -1), weights.view(count, -1))
        write_pixels(summed.view(len(attention), -1), out, block)
    return out


def gradients(inputs: tuple[Tensor, ...], grad: Tensor, hood: Neighbourhood) -> tuple[Tensor, ...]:
    """The gradients of x, key, query, bias and offsets, from that of the output (B, C, sH, sW)."""
    x, key, query, bias, offsets = inputs
    scene = _scene(x, key, query, bias, offsets, hood)
    found = _Gradients(
        torch.zeros_like(scene.values), torch.zeros_like(scene.keys), torch.empty_like(query),
        torch.zeros_like(scene.bias), torch.empty_like(offsets),
    )  # fmt: skip
    numbers = 40 * hood.groups * hood.points + 3 * query.shape[1] + 2 * x.shape[1]
    for block in blocks(x, query, hood, numbers):
        _add_block(found, grad, scene, block)
    return (
        torch.empty_like(x).copy_(inside(found.values)),
        torch.empty_like(key).copy_(inside(found.keys)),
        found.query,
        found.bias.to(bias.dtype),
        found.offsets,
    )


@dataclass(frozen=True, slots=True)
class _Gradients:
    """Of what a scene holds, filled block by block."""

    values: Tensor
    keys: Tensor
    query: Tensor
    bias: Tensor
    offsets: Tensor


def _add_block(found: _Gradients, grad: Tensor, scene: Scene, block: Block) -> None:
    moves = _moves(scene, block)
    taps = _taps(moves, scene, block)
    pixels, groups = taps.rows.shape[:2]
    rows, weights = taps.rows.view(pixels * groups, -1), taps.weights()  # (N·Z, 4P), (N, Z, P, 4)
    keys, values = _band(scene.keys, scene, block), _band(scene.values, scene, block)
    queries = pixels_of(scene.query, block, values.dtype)  # (N, D)
    grads = pixels_of(grad, block, values.dtype)  # (N, C)
    of_query = dots_with_rows(keys, rows, queries.view(len(rows), -1)).view(weights.shape)
    of_grad = dots_with_rows(values, rows, grads.view(len(rows), -1)).view(weights.shape)
    attention = _attention(taps.between(of_query).sum(1), scene, block)  # (N, P)
    pull = attention * taps.between(of_grad).sum(1)
    pull = pull.sub_(attention * pull.sum(1, keepdim=True)).div_(queries.shape[1] ** 0.5)  # (N, P), of the products

    by_attention, by_pull = (one.view(pixels, 1, -1, 1) for one in (attention, pull))
    slopes = taps.slopes(of_grad.mul_(by_attention).add_(of_query.mul_(by_pull)))
    _write_offsets(slopes, moves, found.offsets, scene, block)
    spread = Spread(rows, len(values))
    _band(found.values, scene, block).add_(spread.sums(grads.view(len(rows), -1), weights * by_attention))
    weights.mul_(by_pull)
    _band(found.keys, scene, block).add_(spread.sums(queries.view(len(rows), -1), weights))
    # Written to a given place, which autocast leaves alone.
    torch.addmm(found.bias, pull.t(), queries, out=found.bias)
    of_queries = sums_of_rows(keys, rows, weights.view(rows.shape)).view(pixels, -1)
    torch.addmm(of_queries, pull, scene.bias, out=of_queries)
    write_pixels(of_queries, found.query, block)


def _scene(x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, hood: Neighbourhood) -> Scene:
    dtype = coordinate_dtype(x)
    values, keys, bias = table_of(x, dtype), table_of(key, dtype), bias.to(dtype)
    down, across = (_homes(*one, hood.groups) for one in zip(query.shape[2:], hood.steps(values), strict=True))
    return Scene(values, keys, query, bias, offsets, down.unsqueeze(1), across, hood)


def _homes(length: int, steps: Tensor, groups: int) -> Tensor:
    """Where the points of each of `length` pixels lie unmoved, (length, Z·P)."""
    own = torch.arange(length, dtype=steps.dtype, device=steps.device)
    return own.unsqueeze(1) + steps.repeat(groups)


def _band(table: Tensor, scene: Scene, block: Block) -> Tensor:
    """What a block reads of a table, or gives to it: (R, C/Z)."""
    return table[block.images, block.band].view(-1, table.shape[3] // scene.hood.groups)


def _moves(scene: Scene, block: Block) -> Tensor:
    """How far points are moved, in reaches, down and across: (B, rows, sW, Z·P, 2)."""
    part = scene.offsets[block.images, :, block.rows].permute(0, 2, 3, 1)
    moves: Tensor = part.to(scene.values.dtype).tanh().unflatten(3, (-1, 2))
    return moves


def _taps(moves: Tensor, scene: Scene, block: Block) -> Taps:
    tall, wide = block.band.stop - block.band.start, scene.values.shape[2]
    by_axis = (scene.down[block.rows], BORDER - block.band.start), (scene.across, BORDER)
    places = []
    for axis, ((homes, shift), inner, outer) in enumerate(
        zip(by_axis, scene.values.shape[1:3], scene.query.shape[2:], strict=True)
    ):
        # Multiplied before it is divided, so that what is a whole number comes out as one.
        place = torch.add(homes, moves[..., axis], alpha=scene.hood.reach)
        place.mul_(inner - 2 * BORDER - 1).div_(max(1, outer - 1)).add_(shift)
        places.append(place.unflatten(3, (scene.hood.groups, -1)))
    return find_taps(places[0], places[1], (tall, wide, scene.hood.groups))


def _write_offsets(slopes: tuple[Tensor, Tensor], moves: Tensor, target: Tensor, scene: Scene, block: Block) -> None:
    """Writes the offsets' gradient, given how fast the sum changes as points go down and across; spoils `moves`."""
    ratios = scene.ratios()
    pair = [slope * (ratio * scene.hood.reach) for slope, ratio in zip(slopes, ratios, strict=True)]
    grad = torch.stack(pair, dim=-1).view(moves.shape)
    grad.addcmul_(grad, moves.square_(), value=-1)
    write_pixels(grad.view(len(slopes[0]), -1), target, block)


def _sampled_products(taps: Taps, weights: Tensor, scene: Scene, block: Block) -> Tensor:
    """Products of each pixel's query with its sampled keys, (N, P)."""
    pixels, groups, points = taps.rows.shape[:3]
    keys = _band(scene.keys, scene, block)
    sampled = sums_of_rows(keys, taps.rows.view(-1, 4), weights.view(-1, 4)).view(pixels * groups, points, -1)
    queries = pixels_of(scene.query, block, keys.dtype).view(pixels * groups, -1, 1)
    products = sampled.new_empty((pixels * groups, points, 1))
    # Written to a given place, which autocast leaves alone.
    torch.bmm(sampled, queries, out=products)
    return products.view(pixels, groups, points).sum(1)


def _attention(products: Tensor, scene: Scene, block: Block) -> Tensor:
    """The weights of the points, (N, P), from the products of query and keys."""
    queries, scale = pixels_of(scene.query, block, products.dtype), scene.bias.shape[1] ** -0.5
    torch.addmm(products, queries, scene.bias.t(), beta=scale, alpha=scale, out=products)
    return products.softmax(1)
