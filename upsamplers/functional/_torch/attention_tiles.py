"""Attention of high-resolution queries to a low-resolution feature, tile by tile of the output.

A tile is a rectangle of output pixels with the rectangle of keys that any of them sees. The weights of one tile are all
that there is of them at a time; backward computes them again, adding tiles in a fixed order.
"""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from upsamplers.functional._torch.differentiable import gradients_again
from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._torch.precision import coordinate_dtype, without_autocast

# Weights of a tile: 8 MiB on the CPU, where they stay in the cache, 64 MiB on a GPU, where few launches count.
MOST_WEIGHTS_CPU, MOST_WEIGHTS_GPU = 2 * 2**20, 16 * 2**20

Bounds = tuple[tuple[int, int], ...]


class Attention(Function):
    """`cross_attention`; saves query, key and value alone for backward."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, heads: int, window: float) -> Tensor:
        """See `cross_attention`."""
        ctx.save_for_backward(query, key, value)
        ctx.options = (heads, window)
        with without_autocast(query):
            return _attended(query, key, value, heads, window)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of query, key and value."""
        heads, window = ctx.options
        inputs, needs = ctx.saved_tensors, ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # gradients of gradients are wanted
            form = partial(dense_attention, heads=heads, window=window)
            return *gradients_again(form, inputs, grad, needs), None, None
        with without_autocast(grad):
            query, key, value = inputs
            return *_gradients(query, key, value, grad, heads, window, needs_value=needs[2]), None, None


def dense_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, window: float) -> Tensor:
    """`cross_attention` with all weights at once: plain operations, for programs of any size."""
    dtype = coordinate_dtype(query)
    with without_autocast(query):
        queries, keys = (one.flatten(2).unflatten(1, (heads, -1)) for one in (_scaled(query, heads), key.to(dtype)))
        logits = queries.transpose(2, 3) @ keys  # (B, heads, P, HW)
        if window > 0:
            high, low = query.shape[2:], key.shape[2:]
            rows, columns = (seen(*sizes, window, query.device) for sizes in zip(high, low, strict=True))
            both = rows.view(high[0], 1, low[0], 1) & columns.view(1, high[1], 1, low[1])
            logits = logits.masked_fill(~both.flatten(2).flatten(0, 1), -torch.inf)
        weights = logits.softmax(-1).mean(1)  # (B, P, HW)
        out: Tensor = value.to(dtype).flatten(2) @ weights.transpose(1, 2)
    return torch.unflatten(out, 2, query.shape[2:]).to(value.dtype)


def windowed_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, window: float) -> Tensor:
    """`cross_attention` inside the windows alone: plain operations, for programs of one size.

    Output pixels of as many neighbours that see as many keys are one batch of products, without a mask.
    """
    down, across = (
        _alike(bounds(int(high), int(low), window), query.device)
        for high, low in zip(query.shape[2:], key.shape[2:], strict=True)
    )
    bands = []
    with without_autocast(query):
        scaled = _scaled(query, heads)
        keys, values = key.to(scaled.dtype), value.to(scaled.dtype)
        for rows, key_rows in down[0]:
            parts = []
            for columns, key_columns in across[0]:
                around = _rectangles(keys, key_rows, key_columns).unflatten(3, (heads, -1))
                pixels = _rectangles(scaled, rows, columns).unflatten(3, (heads, -1))  # (B, M, N, heads, d, n)
                weights = (pixels.transpose(4, 5) @ around).softmax(-1).mean(3)  # (B, M, N, n, m)
                part = _rectangles(values, key_rows, key_columns) @ weights.transpose(3, 4)  # (B, M, N, C, n)
                part = part.unflatten(4, (rows.shape[1], columns.shape[1])).permute(0, 3, 1, 4, 2, 5)
                parts.append(part.flatten(4).flatten(2, 3))
            bands.append(torch.cat(parts, dim=3).index_select(3, across[1]))
        return torch.cat(bands, dim=2).index_select(2, down[1]).to(value.dtype)


@lru_cache(maxsize=64)
def bounds(high: int, low: int, window: float) -> Bounds:
    """Which of `low` keys each of `high` output pixels sees along one axis: the first, and one past the last.

    In float32, in the published order of operations: at a tie the rounding decides.
    """
    if window <= 0:
        return ((0, low),) * high
    ratio, found = _float32(window), []
    for pixel in range(high):
        middle = _float32((pixel + 0.5) / high)
        first = _float32(max(_float32(middle - ratio), 0.0) * low)
        last = _float32(min(_float32(middle + ratio), 1.0) * low)
        found.append((math.floor(first), math.ceil(last)))
    return tuple(found)


def seen(high: int, low: int, window: float, device: torch.device) -> Tensor:
    """The same as a mask (high, low), of operations on the device."""
    # A division by a number would be a product with its reciprocal on CUDA, which rounds otherwise.
    sides = torch.full((high, 1), high, dtype=torch.float32, device=device)
    middle = torch.arange(high, dtype=torch.float32, device=device).add(0.5).unsqueeze(1) / sides
    key = torch.arange(low, dtype=torch.float32, device=device)
    first = ((middle - window).clamp(0, 1) * low).floor()
    last = ((middle + window).clamp(0, 1) * low).ceil()
    is_seen: Tensor = (key >= first) & (key < last)
    return is_seen


def _float32(value: float) -> float:
    """Rounded to float32. After one operation in float64 on such values it is that operation in float32."""
    return struct.unpack("f", struct.pack("f", value))[0]  # type: ignore[no-any-return]


def _scaled(query: Tensor, heads: int) -> Tensor:
    """Queries over the root of a head's channels, in float32 at least."""
    factor: float = (query.shape[1] // heads) ** -0.5
    return query.to(coordinate_dtype(query)) * factor


@dataclass(frozen=True, slots=True)
class _Tile:
    """Output pixels, and the keys that any of them sees.

    Attributes:
        rows, columns: of the output.
        key_rows, key_columns: of the keys.
        is_uniform: whether each of these pixels sees each of these keys.
    """

    rows: slice
    columns: slice
    key_rows: slice
    key_columns: slice
    is_uniform: bool


class _Attention:
    """One call's tiles and their weights, forward and backward."""

    def __init__(self, query: Tensor, key: Tensor, heads: int, window: float) -> None:
        self.query, self.key, self.heads, self.window = query, key, heads, window
        self.bounds = [bounds(high, low, window) for high, low in zip(query.shape[2:], key.shape[2:], strict=True)]
        if window > 0:
            sizes = zip(query.shape[2:], key.shape[2:], strict=True)
            self.seen_rows, self.seen_columns = (seen(high, low, window, query.device) for high, low in sizes)

    def tiles(self) -> Iterator[_Tile]:
        """The tiles of the output, row by row."""
        # As wide as its windows reach, a tile has about twice the keys that one of its pixels sees.
        tall, wide = (math.ceil(self.window * side) if self.window > 0 else side for side in self.query.shape[2:])
        most = MOST_WEIGHTS_CPU if self.query.device.type == "cpu" else MOST_WEIGHTS_GPU
        most //= max(1, len(self.query)) * self.heads
        for band in _cuts(slice(0, self.query.shape[2]), tall):
            for part in _cuts(slice(0, self.query.shape[3]), wide):
                keys = math.prod(
                    _length(_union(axis, cut)) for axis, cut in zip(self.bounds, (band, part), strict=True)
                )
                for rows in _cuts(band, most // (keys * _length(part))):
                    for columns in _cuts(part, most // (keys * _length(rows))):
                        yield self._tile(rows, columns)

    def _tile(self, rows: slice, columns: slice) -> _Tile:
        pairs = list(zip(self.bounds, (rows, columns), strict=True))
        is_uniform = all(axis[cut.start] == axis[cut.stop - 1] for axis, cut in pairs)
        key_rows, key_columns = (_union(axis, cut) for axis, cut in pairs)
        return _Tile(rows, columns, key_rows, key_columns, is_uniform)

    def operands(self, tile: _Tile) -> tuple[Tensor, Tensor]:
        """Scaled queries (B · heads, d, n) and keys (B · heads, d, m) of a tile."""
        queries = _scaled(self.query[:, :, tile.rows, tile.columns], self.heads)
        keys = self.key[:, :, tile.key_rows, tile.key_columns].to(queries.dtype)
        return _by_head(queries, self.heads), _by_head(keys, self.heads)

    def weights(self, tile: _Tile, queries: Tensor, keys: Tensor) -> Tensor:
        """The weights of a tile, of each head: (B, heads, n, m)."""
        logits = torch.bmm(queries.transpose(1, 2), keys)
        if not tile.is_uniform:
            rows = self.seen_rows[tile.rows, tile.key_rows]
            columns = self.seen_columns[tile.columns, tile.key_columns]
            grid = logits.view(len(logits), len(rows), len(columns), rows.shape[1], columns.shape[1])
            grid.masked_fill_(~rows[:, None, :, None], -torch.inf).masked_fill_(~columns[:, None, :], -torch.inf)
        return logits.softmax(-1).view(len(self.query), self.heads, *logits.shape[1:])


def _attended(query: Tensor, key: Tensor, value: Tensor, heads: int, window: float) -> Tensor:
    """The output (B, C, sH, sW), in the value's dtype and memory format."""
    attention = _Attention(query, key, heads, window)
    out = empty_feature(value, (*value.shape[:2], *query.shape[2:]))
    for tile in attention.tiles():
        weights = attention.weights(tile, *attention.operands(tile)).mean(1)  # (B, n, m)
        target = out[:, :, tile.rows, tile.columns]
        target.copy_(torch.bmm(_values(value, tile, weights), weights.transpose(1, 2)).view(target.shape))
    return out


def _gradients(
    query: Tensor, key: Tensor, value: Tensor, grad: Tensor, heads: int, window: float, *, needs_value: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The gradients of query, key and value, from that of the output; of the value, a frozen backbone's, if needed."""
    attention, dtype = _Attention(query, key, heads, window), coordinate_dtype(query)
    grad_query = torch.empty_like(query)
    grad_key, grad_value = (
        torch.zeros_like(key, dtype=dtype),
        value.new_zeros(value.shape if needs_value else 0, dtype=dtype),
    )
    for tile in attention.tiles():
        queries, keys = attention.operands(tile)
        by_head = attention.weights(tile, queries, keys)
        grads = grad[:, :, tile.rows, tile.columns].to(dtype).flatten(2)  # (B, C, n)
        if needs_value:
            part = grad_value[:, :, tile.key_rows, tile.key_columns]
            part.add_(torch.bmm(grads, by_head.mean(1)).view(part.shape))
        grad_weights = torch.bmm(grads.transpose(1, 2), _values(value, tile, grads)).div_(heads)  # (B, n, m)
        grad_logits = by_head * grad_weights.unsqueeze(1)
        del grad_weights
        grad_logits.addcmul_(by_head, grad_logits.sum(-1, keepdim=True), value=-1)
        del by_head
        grad_logits = grad_logits.flatten(0, 1)
        part = grad_query[:, :, tile.rows, tile.columns]
        part.copy_(torch.bmm(keys, grad_logits.transpose(1, 2)).view(part.shape))
        part = grad_key[:, :, tile.key_rows, tile.key_columns]
        part.add_(torch.bmm(queries, grad_logits).view(part.shape))
    grad_query.mul_((query.shape[1] // heads) ** -0.5)
    return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype) if needs_value else None


def _by_head(part: Tensor, heads: int) -> Tensor:
    """A part of a map (B, E, ., .) as (B · heads, d, pixels)."""
    batch, channels, height, width = part.shape
    return part.reshape(batch * heads, channels // heads, height * width)


def _values(value: Tensor, tile: _Tile, like: Tensor) -> Tensor:
    """The values of a tile's keys, (B, C, m)."""
    return value[:, :, tile.key_rows, tile.key_columns].to(like.dtype).flatten(2)


def _cuts(part: slice, side: int) -> Iterator[slice]:
    """A part cut into parts of `side`, or of one if that is less."""
    for first in range(part.start, part.stop, max(1, side)):
        yield slice(first, min(first + max(1, side), part.stop))


def _union(axis: Bounds, cut: slice) -> slice:
    """What the pixels of a cut see together; both bounds only rise along an axis."""
    return slice(axis[cut.start][0], axis[cut.stop - 1][1])


def _length(part: slice) -> int:
    return part.stop - part.start  # type: ignore[no-any-return]


def _alike(axis: Bounds, device: torch.device) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """The pixels of an axis by their bounds, runs of as many pixels and as many keys together.

    Returns:
        For each kind of run the pixels (runs, n) and the keys (runs, m), and where each pixel then is, all in a row.
    """
    kinds = defaultdict[tuple[int, int], list[tuple[range, range]]](list)
    first = 0
    for (start, end), run in groupby(axis):
        pixels = range(first, first + len(list(run)))
        kinds[len(pixels), end - start].append((pixels, range(start, end)))
        first = pixels.stop
    places = {pixel: place for place, pixel in enumerate(p for runs in kinds.values() for run, _ in runs for p in run)}
    order = torch.tensor([places[pixel] for pixel in range(len(axis))], device=device)
    return [
        (
            torch.tensor([pixels for pixels, _ in runs], device=device),
            torch.tensor([keys for _, keys in runs], device=device),
        )
        for runs in kinds.values()
    ], order


def _rectangles(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """A map (B, C, ., .) at each pair of rows (M, n) and columns (N, m): (B, M, N, C, n · m)."""
    chosen = image.index_select(2, rows.flatten()).index_select(3, columns.flatten())
    split = chosen.unflatten(3, tuple(columns.shape)).unflatten(2, tuple(rows.shape))  # (B, C, M, n, N, m)
    rectangles: Tensor = split.permute(0, 2, 4, 1, 3, 5).flatten(4)
    return rectangles
