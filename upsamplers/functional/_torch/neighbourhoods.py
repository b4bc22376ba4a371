"""Neighbourhood attention and its gradients, a few rows of windows at a time; see `neighbourhood_attention`.

A cell is a pixel of x with its s² output pixels, which share its window. Of R rows of cells, one head's queries are
(R·W, s², D), its windows (R·W, k², D) and (R·W, k², C): all that is computed are batched products of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from upsamplers.functional._torch.differentiable import gradients_again
from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._torch.precision import without_autocast
from upsamplers.functional._torch.window_blocks import CPU_AT_MOST, GPU_AT_LEAST


class NeighbourhoodAttention(Function):
    """`neighbourhood_attention`; saves its inputs alone for backward, which computes the weights again."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, x: Tensor, kernel: int, heads: int, scale: int) -> Tensor:
        """See `neighbourhood_attention`."""
        ctx.save_for_backward(query, key, x)
        ctx.sizes = (kernel, heads, scale)
        with without_autocast(x):
            return _attend(query, key, x, _Windows(kernel, scale), heads)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of query, key and x."""
        query, key, x = ctx.saved_tensors
        kernel, heads, scale = ctx.sizes
        if torch.is_grad_enabled():  # gradients of gradients are wanted
            form = partial(gathered_attention, kernel=kernel, heads=heads, scale=scale)
            return *gradients_again(form, (query, key, x), grad, ctx.needs_input_grad[:3]), None, None, None
        with without_autocast(x):
            windows, needs_x = _Windows(kernel, scale), ctx.needs_input_grad[2]
            return *_gradients(query, key, x, grad, windows, heads, needs_x=needs_x), None, None, None


def gathered_attention(query: Tensor, key: Tensor, x: Tensor, kernel: int, heads: int, scale: int) -> Tensor:
    """`neighbourhood_attention` in plain operations, of all windows at once: for programs of any size."""
    batch, channels, height, width = x.shape
    windows = _Windows(kernel, scale)
    rows, columns = (windows.places(side, x.device).flatten() for side in (height, width))  # (H·k), (W·k)

    def gathered(image: Tensor) -> Tensor:
        """The windows of an image (B, C, H, W): (B·N, H, W, k², C / N)."""
        copies = image.index_select(2, rows).index_select(3, columns)  # (B, C, H·k, W·k)
        split = copies.reshape(batch * heads, -1, height, kernel, width, kernel)
        by_cell: Tensor = split.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)
        return by_cell

    split = query.reshape(batch * heads, query.shape[1] // heads, height, scale, width, scale)
    cells = split.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)  # (B·N, H, W, s², D / N)
    logits = cells @ gathered(key).transpose(3, 4) / cells.shape[4] ** 0.5
    values = gathered(x)
    sums = logits.softmax(4).to(values.dtype) @ values  # (B·N, H, W, s², C / N)
    out: Tensor = sums.unflatten(3, (scale, scale)).permute(0, 5, 1, 3, 2, 4)  # (B·N, C / N, H, s, W, s)
    return out.reshape(batch, channels, scale * height, scale * width).to(x.dtype)


@dataclass(frozen=True, slots=True)
class _Windows:
    """k x k windows around the cells of an image, pushed inside at its borders."""

    kernel: int
    scale: int

    def places(self, side: int, device: torch.device) -> Tensor:
        """The k rows, or columns, of the window of each of them: (side, k)."""
        first = (torch.arange(side, device=device) - self.kernel // 2).clamp(min=0).clamp(max=side - self.kernel)
        return first.unsqueeze(1) + torch.arange(self.kernel, device=device)

    def of(self, image: Tensor, band: slice) -> Tensor:
        """The windows of a band of rows of an image (H, W, D): (R·W, k², D)."""
        height, width = image.shape[:2]
        rows, columns = (self.places(side, image.device) for side in (height, width))
        return image[rows[band, None, :, None], columns[None, :, None, :]].flatten(2, 3).flatten(0, 1)

    def add(self, total: Tensor, windows: Tensor, band: slice) -> None:
        """Adds what a band's windows (R·W, k², D), written over, give to each pixel of an image (H, W, D)."""
        height, width = total.shape[:2]
        kernel, reach, starts = self.kernel, self.kernel // 2, width - self.kernel + 1
        split = windows.view(-1, width, kernel, kernel, windows.shape[2])  # (R, W, k, k, D)
        # Cells near a border have the window of the first or the last that has one to itself.
        own = split[:, reach : width - reach]
        own[:, 0].add_(split[:, :reach].sum(1))
        own[:, -1].add_(split[:, width - reach :].sum(1))
        by_row = total.new_zeros((len(split), kernel, width, total.shape[2]))
        for across in range(kernel):
            by_row[:, :, across : across + starts].add_(own[:, :, :, across].transpose(1, 2))
        for row, share in zip(range(band.start, band.stop), by_row, strict=True):
            first = min(max(row - reach, 0), height - kernel)
            total[first : first + kernel].add_(share)

    def cells(self, image: Tensor, band: slice, dtype: torch.dtype) -> Tensor:
        """A copy of a band of cells of an image (D, sH, sW): (R·W, s², D)."""
        part = self._band(image, band)
        return part.to(dtype, copy=True, memory_format=torch.contiguous_format).flatten(2, 3).flatten(0, 1)

    def write(self, image: Tensor, band: slice, cells: Tensor) -> None:
        """Writes a band of cells (R·W, s², D) into an image (D, sH, sW)."""
        target = self._band(image, band)
        target.copy_(cells.view(target.shape))

    def _band(self, image: Tensor, band: slice) -> Tensor:
        """A view (R, W, s, s, D) of a band."""
        part = image[:, self.scale * band.start : self.scale * band.stop]
        split: Tensor = part.unflatten(2, (-1, self.scale)).unflatten(1, (-1, self.scale))  # (D, R, s, W, s)
        return split.permute(1, 3, 2, 4, 0)


def _attend(query: Tensor, key: Tensor, x: Tensor, windows: _Windows, heads: int) -> Tensor:
    """The output (B, C, sH, sW), in x's dtype and memory format."""
    batch, channels, height, width = x.shape
    out = empty_feature(x, (batch, channels, windows.scale * height, windows.scale * width))
    dtype = _dtype(query, x)
    for of_query, of_x in _heads(batch, query.shape[1], channels, heads):
        keys, values = _pixels(key[of_query], dtype), _pixels(x[of_x], dtype)
        for band in _bands(keys, values, windows):
            weights = _weights(windows.cells(query[of_query], band, dtype), windows.of(keys, band))
            windows.write(out[of_x], band, weights @ windows.of(values, band))
    return out


def _gradients(
    query: Tensor, key: Tensor, x: Tensor, grad: Tensor, windows: _Windows, heads: int, *, needs_x: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The gradients of query, key and x, from that of the output (B, C, sH, sW); of x if needed."""
    grad_query, grad_key = torch.empty_like(query), torch.empty_like(key)
    grad_x = torch.empty_like(x) if needs_x else None
    dtype = _dtype(query, x)
    for of_query, of_x in _heads(len(x), query.shape[1], x.shape[1], heads):
        keys, values = _pixels(key[of_query], dtype), _pixels(x[of_x], dtype)
        # Of many windows: at least in float32.
        summed = (keys, values) if needs_x else (keys,)
        sums = [torch.zeros_like(one, dtype=torch.promote_types(dtype, torch.float32)) for one in summed]
        for band in _bands(keys, values, windows):
            queries, window = windows.cells(query[of_query], band, dtype), windows.of(keys, band)
            weights = _weights(queries, window)  # (R·W, s², k²)
            given = windows.cells(grad[of_x], band, dtype)
            if needs_x:
                windows.add(sums[1], weights.transpose(1, 2) @ given, band)
            changes = given @ windows.of(values, band).transpose(1, 2)
            del given
            changes.sub_((changes * weights).sum(2, keepdim=True)).mul_(weights).div_(queries.shape[2] ** 0.5)
            del weights
            windows.write(grad_query[of_query], band, changes @ window)
            windows.add(sums[0], changes.transpose(1, 2) @ queries, band)
        grad_key[of_query].copy_(sums[0].permute(2, 0, 1))
        if grad_x is not None:
            grad_x[of_x].copy_(sums[1].permute(2, 0, 1))
    return grad_query, grad_key, grad_x


def _weights(queries: Tensor, window: Tensor) -> Tensor:
    """The weights (R·W, s², k²) of queries (R·W, s², D) for a window of keys (R·W, k², D)."""
    return (queries @ window.transpose(1, 2)).div_(queries.shape[2] ** 0.5).softmax(2)


def _heads(batch: int, embedding: int, channels: int, heads: int) -> Iterator[tuple[Any, Any]]:
    """The places of each image's heads in queries and keys (B, D, ...) and in x (B, C, ...)."""
    for image in range(batch):
        for head in range(heads):
            of_query, of_x = (
                (image, slice(head * depth // heads, (head + 1) * depth // heads)) for depth in (embedding, channels)
            )
            yield of_query, of_x


def _bands(keys: Tensor, values: Tensor, windows: _Windows) -> Iterator[slice]:
    """The rows of each block: on a CPU what a cache holds, or one; on a GPU enough to fill it."""
    height, width = keys.shape[:2]
    window, cell = windows.kernel**2, windows.scale**2
    row = width * ((window + cell) * (keys.shape[2] + values.shape[2]) + 2 * window * cell) * keys.element_size()
    rows = max(1, (CPU_AT_MOST if keys.device.type == "cpu" else 4 * GPU_AT_LEAST) // row)
    for first in range(0, height, rows):
        yield slice(first, min(first + rows, height))


def _pixels(image: Tensor, dtype: torch.dtype) -> Tensor:
    """An image (D, H, W) pixel by pixel, (H, W, D)."""
    return image.permute(1, 2, 0).to(dtype, memory_format=torch.contiguous_format)


def _dtype(query: Tensor, x: Tensor) -> torch.dtype:
    """What is computed in; on CPU at least float32."""
    dtype = torch.promote_types(query.dtype, x.dtype)
    return torch.promote_types(dtype, torch.float32) if x.device.type == "cpu" else dtype
