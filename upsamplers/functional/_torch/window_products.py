"""Reassembly and its gradients as batched products of small matrices, a few rows of pixels at a time.

The s² output pixels of one input pixel share its window: together they are one product of their weights (s², k²) with
the window (k², C). No window is ever copied out. A slab holds, for each pixel of a few rows, the k pixels of its column
of the window; so a window is k neighbours in the slab, k² rows of C numbers, and the windows overlap.

Buffers are laid out pixel by pixel, channels last, their rows with the zero border of the windows: P = H + k - 1 rows
of Q = W + k - 1 pixels. A block of R = B · rows · Q pixels is run as one list of N = R - k + 1 windows; the few that
straddle two rows are computed and dropped. D >= C is the distance from one pixel's channels to the next's. Weights are
laid out as taps (B, H, Q, s², k²), the k² column by column as in the slab.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from upsamplers.functional._torch.differentiable import gradients_again
from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._torch.portable_windows import shifted_dots, shifted_sum
from upsamplers.functional._torch.window_blocks import Cut, cut_for


class Reassembly(Function):
    """`reassemble`; saves x and the weights alone for backward, which reads the windows again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, kernel: int, groups: int, scale: int) -> Tensor:
        """See `reassemble`."""
        ctx.save_for_backward(x, weights)
        ctx.sizes = (kernel, groups, scale)
        return weighted_sums(x, weights, kernel, groups, scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x and of the weights."""
        x, weights = ctx.saved_tensors
        kernel, groups, scale = ctx.sizes
        needs = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # gradients of gradients are wanted
            form = partial(shifted_sum, kernel=kernel, groups=groups, scale=scale)
            return *gradients_again(form, (x, weights), grad, needs), None, None, None
        return *gradients(x, weights, grad, kernel, groups, scale, needs=needs), None, None, None


class Affinity(Function):
    """`local_affinity`; saves query and key alone for backward, which reads the windows again."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, kernel: int, scale: int) -> Tensor:
        """See `local_affinity`."""
        ctx.save_for_backward(query, key)
        ctx.sizes = (kernel, scale)
        return window_dots(key, query, kernel, 1, scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of query and key."""
        query, key = ctx.saved_tensors
        kernel, scale = ctx.sizes
        needs = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # gradients of gradients are wanted
            form = partial(shifted_dots, kernel=kernel, scale=scale)
            return *gradients_again(form, (query, key), grad, needs), None, None
        grad_query = weighted_sums(key, grad, kernel, 1, scale) if needs[0] else None
        grad_key = gradients(key, grad, query, kernel, 1, scale, needs=(True, False))[0] if needs[1] else None
        return grad_query, grad_key, None, None


def weighted_sums(x: Tensor, weights: Tensor, kernel: int, groups: int, scale: int) -> Tensor:
    """The reassembled x (B, C, sH, sW), in x's dtype and memory format; see `reassemble`."""
    batch, channels, height, width = x.shape
    cut = cut_for(x, kernel, groups, scale)
    out = empty_feature(x, (batch, channels, scale * height, scale * width))
    for images, weight_channels, group in cut.weighted(batch):
        by_pixel = _by_pixel(weights[images, weight_channels], cut)
        buffers = _buffers(by_pixel, cut)
        for band in cut.bands(height):
            taps = _taps(by_pixel[:, band], buffers.taps, cut)
            for depth in cut.depths(group, channels):
                windows = _windows(buffers.slab, x[images, depth], band, cut)
                torch.bmm(_tap_list(taps, cut), windows, out=buffers.outputs[: len(windows)])
                target = _subpixels(out[images, depth], scale)[:, band]  # (B, rows, W, s, s, C)
                target.copy_(_subpixels_in(buffers.outputs, target, 0, cut))
    return out


def gradients(
    x: Tensor, weights: Tensor, grad: Tensor, kernel: int, groups: int, scale: int, *, needs: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of x and of the weights, from that of the output.

    Args:
        x: (B, C, H, W).
        weights: (B, Zk², sH, sW).
        grad: (B, C, sH, sW).
        kernel, groups, scale: k, Z and s.
        needs: whether x's gradient is needed, and whether the weights' is.

    Returns:
        (B, C, H, W) and (B, Zk², sH, sW), None where it is not needed.
    """
    if not needs[0]:
        return None, window_dots(x, grad, kernel, groups, scale) if needs[1] else None
    batch, channels, height, _ = x.shape
    cut = cut_for(x, kernel, groups, scale)
    grad_x, grad_weights = torch.empty_like(x), torch.empty_like(weights) if needs[1] else None
    for images, weight_channels, group in cut.weighted(batch):
        by_pixel = _by_pixel(weights[images, weight_channels], cut)
        buffers = _buffers(by_pixel, cut, of_gradients=True)
        depths = list(cut.depths(group, channels))
        sums = [_zero_sums(x[images, depth], cut) for depth in depths]
        for band in cut.bands(height):
            taps = _taps(by_pixel[:, band], buffers.taps, cut)
            grad_taps = torch.zeros_like(taps)
            for depth, total in zip(depths, sums, strict=True):
                source = _subpixels(grad[images, depth], scale)[:, band]  # (B, rows, W, s, s, C)
                _subpixels_in(buffers.outputs, source, cut.border, cut).copy_(source)
                if needs[1]:
                    windows = _windows(buffers.slab, x[images, depth], band, cut)
                    _add_dots(grad_taps, buffers.outputs, windows, source.shape[-1], cut)
                _add_spread(total, buffers, taps, band, cut)
            if grad_weights is not None:
                _by_pixel(grad_weights[images, weight_channels], cut)[:, band].copy_(_inner(grad_taps, cut))
        for depth, total in zip(depths, sums, strict=True):
            part = total[:, cut.border : cut.border + height, :, : depth.stop - depth.start]
            grad_x[images, depth].permute(0, 2, 3, 1).copy_(part)
    return grad_x, grad_weights


def window_dots(x: Tensor, high: Tensor, kernel: int, groups: int, scale: int) -> Tensor:
    """Products of each high-resolution pixel with the window of x around it: the gradient of the weights.

    Args:
        x: (B, C, H, W).
        high: (B, C, sH, sW).
        kernel, groups, scale: k, Z and s.

    Returns:
        (B, Zk², sH, sW) in x's dtype: summed over each group's channels, zero where a tap lies outside x.
    """
    batch, channels, height, width = x.shape
    cut = cut_for(x, kernel, groups, scale)
    out = x.new_empty((batch, groups * kernel**2, scale * height, scale * width))
    for images, taps_of_group, group in cut.weighted(batch):
        by_pixel = _by_pixel(out[images, taps_of_group], cut)
        buffers = _buffers(by_pixel, cut, of_gradients=True)
        for band in cut.bands(height):
            taps = buffers.taps[:, : band.stop - band.start].zero_()
            for depth in cut.depths(group, channels):
                source = _subpixels(high[images, depth], cut.scale)[:, band]
                _subpixels_in(buffers.outputs, source, cut.border, cut).copy_(source)
                windows = _windows(buffers.slab, x[images, depth], band, cut)
                _add_dots(taps, buffers.outputs, windows, source.shape[-1], cut)
            by_pixel[:, band].copy_(_inner(taps, cut))
    return out


def _add_dots(taps: Tensor, outputs: Tensor, windows: Tensor, channels: int, cut: Cut) -> None:
    """Adds to a band of taps (B, rows, Q, s², k²) the products of its pixels in `outputs` with their windows."""
    own = outputs[cut.border : cut.border + windows.shape[0], :, :channels]  # (N, s², C)
    total = _tap_list(taps, cut)
    torch.baddbmm(total, own, windows[..., :channels].transpose(1, 2), out=total)


def _add_spread(sums: Tensor, buffers: _Buffers, taps: Tensor, band: slice, cut: Cut) -> None:
    """Adds a band's share of x's gradient to sums (B, P, W, D); spoils the slab.

    Output row by output row, what an input pixel receives comes from the k output columns around it: seen from there,
    the window lies in `outputs`, and the k rows that it goes to are the rows of a product (k, k·s²) x (k·s², C).
    """
    products, outputs = buffers.slab, buffers.outputs
    k, subpixels, pitch = products.shape[1], *outputs.shape[1:]
    batch, rows = sums.shape[0], band.stop - band.start
    pixels = taps.shape[:3].numel()
    count = pixels - k + 1
    around = outputs[:pixels].flatten(0, 1).unfold(0, k * subpixels, subpixels).transpose(1, 2)  # (N, k·s², D)
    torch.bmm(_turned(taps, cut), around, out=products[:count])
    by_row = products[:pixels].view(batch, rows, -1, k, pitch)[:, :, : sums.shape[2]]  # (B, rows, W, k, D)
    # Windows overlap: what is added at once must not.
    if rows < k:
        for row in range(rows):
            first = band.start + row
            sums[:, first : first + k].add_(by_row[:, row].transpose(1, 2))
    else:
        for down in range(k):
            sums[:, band.start + down : band.stop + down].add_(by_row[:, :, :, down])


def _padded(x: Tensor, band: slice, cut: Cut) -> Tensor:
    """A band of x (B, C, H, W) with its border, zero beyond the image: (B, rows + k - 1, Q, D)."""
    batch, channels, height, width = x.shape
    first, last = max(0, band.start - cut.border), min(height, band.stop + cut.border)
    above = first - (band.start - cut.border)
    shape = (batch, band.stop - band.start + 2 * cut.border, width + 2 * cut.border, cut.pitch)
    padded = torch.zeros(shape, dtype=cut.dtype, device=x.device)
    inner = padded[:, above : above + last - first, cut.border : cut.border + width, :channels]
    inner.copy_(x[:, :, first:last].permute(0, 2, 3, 1))
    return padded


def _zero_sums(x: Tensor, cut: Cut) -> Tensor:
    """Zeros (B, P, W, D), at least in float32, for sums over the rows of a window."""
    shape = (x.shape[0], x.shape[2] + 2 * cut.border, x.shape[3], cut.pitch)
    return torch.zeros(shape, dtype=torch.promote_types(cut.dtype, torch.float32), device=x.device)


@dataclass(frozen=True, slots=True)
class _Buffers:
    """Room for a block.

    Attributes:
        taps: (B, rows, Q, s², k²), zero between the rows.
        slab: (R, k, D).
        outputs: output pixels, or their gradients with zeros between the rows, (R, s², D).
    """

    taps: Tensor
    slab: Tensor
    outputs: Tensor


def _buffers(by_pixel: Tensor, cut: Cut, *, of_gradients: bool = False) -> _Buffers:
    """Buffers for the blocks of weights seen as (B, H, W, s, s, k, k)."""
    batch, _, width = by_pixel.shape[:3]
    shape = (batch, cut.rows, width + 2 * cut.border, cut.scale**2, cut.kernel**2)
    taps = torch.zeros(shape, dtype=cut.dtype, device=by_pixel.device)
    pixels = taps.shape[:3].numel()
    outputs = taps.new_empty((pixels, cut.scale**2, cut.pitch))
    slab = taps.new_empty((pixels, cut.kernel, cut.pitch))
    return _Buffers(taps, slab, outputs.zero_() if of_gradients else outputs)


def _windows(slab: Tensor, x: Tensor, band: slice, cut: Cut) -> Tensor:
    """Fills the slab with a band of x and returns its overlapping windows (N, k², D)."""
    columns = _padded(x, band, cut).unfold(1, cut.kernel, 1).transpose(3, 4)  # (B, rows, Q, k, D)
    pixels = columns.shape[:3].numel()
    slab[:pixels].view(columns.shape).copy_(columns)
    return slab[:pixels].flatten(0, 1).unfold(0, cut.kernel**2, cut.kernel).transpose(1, 2)


def _taps(by_pixel: Tensor, buffer: Tensor, cut: Cut) -> Tensor:
    """A band of weights seen as (B, rows, W, s, s, k, k), written into the buffer of taps."""
    taps = buffer[:, : by_pixel.shape[1]]
    _inner(taps, cut).copy_(by_pixel)
    return taps


def _by_pixel(weights: Tensor, cut: Cut) -> Tensor:
    """Weights (B, k², sH, sW) seen as (B, H, W, s, s, k, k), the window column by column."""
    square = weights.unflatten(1, (cut.kernel, cut.kernel))
    split: Tensor = square.unflatten(4, (-1, cut.scale)).unflatten(3, (-1, cut.scale))  # (B, k, k, H, s, W, s)
    return split.permute(0, 3, 5, 4, 6, 2, 1)


def _inner(taps: Tensor, cut: Cut) -> Tensor:
    """Taps (B, H, Q, s², k²) without their border, seen as (B, H, W, s, s, k, k)."""
    inner = taps[:, :, cut.border : taps.shape[2] - cut.border]
    seen: Tensor = inner.unflatten(4, (cut.kernel, cut.kernel)).unflatten(3, (cut.scale, cut.scale))
    return seen


def _tap_list(taps: Tensor, cut: Cut) -> Tensor:
    """A band of taps as a list in the order of its windows, (N, s², k²), each of the pixel in the middle."""
    pixels = taps.flatten(0, 2)
    return pixels[cut.border : pixels.shape[0] - cut.border]


def _turned(taps: Tensor, cut: Cut) -> Tensor:
    """A band of taps as seen by the input, (N, k, k·s²): what the k columns around a pixel send to it, for each row.

    The column at step u of the window sends with its tap k-1-u, which lies one pixel on and one tap column back.
    """
    k, subpixels, window = cut.kernel, cut.scale**2, cut.kernel**2
    flat = taps.flatten(0, 2)
    shape = (flat.shape[0] - k + 1, k, k, subpixels)
    strides = (subpixels * window, 1, subpixels * window - k, window)
    turned = flat.as_strided(shape, strides, flat.storage_offset() + window - k)
    return turned.reshape(shape[0], k, k * subpixels)


def _subpixels(image: Tensor, scale: int) -> Tensor:
    """An image (B, C, sH, sW) seen as (B, H, W, s, s, C)."""
    split: Tensor = image.unflatten(3, (-1, scale)).unflatten(2, (-1, scale))  # (B, C, H, s, W, s)
    return split.permute(0, 2, 4, 3, 5, 1)


def _subpixels_in(buffer: Tensor, like: Tensor, first: int, cut: Cut) -> Tensor:
    """The start of a buffer (R, s², D) seen as the band `like` (B, rows, W, s, s, C) at pixel `first` of rows."""
    batch, rows, width, scale, _, channels = like.shape
    columns = width + 2 * cut.border
    block = buffer[: batch * rows * columns].view(batch, rows, columns, scale, scale, -1)
    return block[:, :, first : first + width, ..., :channels]
