"""Kernels of an adaptive average pool to SIDE x SIDE bins, together with the average of the image.

Bin i of an axis of `size` pixels spans those from floor(i · size / SIDE) up to ceil((i + 1) · size / SIDE), so that two
neighbours share a pixel where SIDE does not divide the size. A bin's own pixels end where the next bin begins.
"""

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks, fits_layout

# The first are for small images.
SIZES = ("BLOCK_C", "BLOCK_H", "BLOCK_W")
BIN_BLOCKS = blocks(
    SIZES, (8, 8, 8, 4), (1, 8, 64, 2), (2, 8, 64, 4), (1, 16, 32, 4), (1, 8, 32, 1), (1, 8, 128, 4),
    (32, 4, 8, 4), (64, 4, 8, 8), (64, 2, 16, 8), (128, 2, 8, 8),
)  # fmt: skip
PIXEL_BLOCKS = blocks(
    SIZES, (8, 8, 8, 4), (2, 8, 64, 4), (1, 16, 64, 4), (1, 8, 128, 4), (2, 8, 64, 2), (4, 8, 64, 4),
    (32, 2, 8, 4), (64, 1, 8, 4), (64, 2, 8, 8), (128, 1, 8, 8),
)  # fmt: skip
KEYS = ("channels", *AUTOTUNE_KEYS, "SIDE", "IN_ROWS")


@triton.jit
def bin_bounds(index, size, SIDE: tl.constexpr):
    """The first pixel of a bin, that of the next bin, and the first behind its last."""
    return index * size // SIDE, (index + 1) * size // SIDE, ((index + 1) * size + SIDE - 1) // SIDE


@tuned(BIN_BLOCKS, KEYS, fits=fits_layout)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def average_pool_fwd_kernel(
    y, pooled, shares, channels, height, width, tune_pixels, tune_images,
    stride_yb, stride_yc, stride_yh, stride_yw,
    SIDE: tl.constexpr, DIVIDES: tl.constexpr, IN_ROWS: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """One bin of some channels: the average of its pixels, and the share of its own in the average of the image."""
    batch = tl.program_id(2).to(tl.int64)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    first_row, next_row, end_row = bin_bounds(tl.program_id(0) // SIDE, height, SIDE)
    first_column, next_column, end_column = bin_bounds(tl.program_id(0) % SIDE, width, SIDE)
    is_channel = (channel < channels)[:, None, None]
    y += batch * stride_yb
    total = tl.zeros([BLOCK_C, BLOCK_H, BLOCK_W], tl.float32)
    own = tl.zeros([BLOCK_C, BLOCK_H, BLOCK_W], tl.float32)
    for start_row in range(first_row, end_row, BLOCK_H):
        row = (start_row + tl.arange(0, BLOCK_H))[None, :, None]
        for start_column in range(first_column, end_column, BLOCK_W):
            column = (start_column + tl.arange(0, BLOCK_W))[None, None, :]
            offs = channel[:, None, None] * stride_yc + row * stride_yh + column * stride_yw
            value = tl.load(y + offs, mask=is_channel & (row < end_row) & (column < end_column), other=0.0)
            total += value.to(tl.float32)
            if not DIVIDES:
                own += tl.where((row < next_row) & (column < next_column), value.to(tl.float32), 0.0)
    area = (end_row - first_row) * (end_column - first_column)
    offs = (batch * channels + channel) * (SIDE * SIDE) + tl.program_id(0)
    bin_sum = tl.sum(tl.sum(total, axis=2), axis=1)
    own_sum = bin_sum if DIVIDES else tl.sum(tl.sum(own, axis=2), axis=1)
    tl.store(pooled + offs, (bin_sum / area).to(pooled.dtype.element_ty), mask=channel < channels)
    tl.store(shares + offs, own_sum / (height * width), mask=channel < channels)


@tuned(PIXEL_BLOCKS, KEYS, fits=fits_layout)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def average_pool_bwd_dy_kernel(
    grad_pooled, grad_mean, grad_y, channels, height, width, tune_pixels, tune_images,
    stride_yb, stride_yc, stride_yh, stride_yw,
    SIDE: tl.constexpr, IN_ROWS: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """grad_y[c, h, w] = grad_mean[c] / HW + Σ_ij grad_pooled[c, i, j] / area, over the bins (i, j) with that pixel."""
    batch = tl.program_id(2).to(tl.int64)
    tiles = tl.cdiv(width, BLOCK_W)
    first_row, first_column = tl.program_id(0) // tiles * BLOCK_H, tl.program_id(0) % tiles * BLOCK_W
    channel = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[:, None, None]
    row = (first_row + tl.arange(0, BLOCK_H))[None, :, None]
    column = (first_column + tl.arange(0, BLOCK_W))[None, None, :]
    is_channel = channel < channels
    grad_pooled += (batch * channels + channel) * (SIDE * SIDE)
    mean = tl.load(grad_mean + batch * channels + channel, mask=is_channel, other=0.0).to(tl.float32)
    result = tl.zeros([BLOCK_C, BLOCK_H, BLOCK_W], tl.float32) + mean / (height * width)
    end_row, end_column = tl.minimum(first_row + BLOCK_H, height), tl.minimum(first_column + BLOCK_W, width)
    for i in range(first_row * SIDE // height, (end_row * SIDE + height - 1) // height):
        bin_row, _, bin_end_row = bin_bounds(i, height, SIDE)
        in_rows = (row >= bin_row) & (row < bin_end_row)
        for j in range(first_column * SIDE // width, (end_column * SIDE + width - 1) // width):
            bin_column, _, bin_end_column = bin_bounds(j, width, SIDE)
            area = (bin_end_row - bin_row) * (bin_end_column - bin_column)
            share = tl.load(grad_pooled + (i * SIDE + j), mask=is_channel, other=0.0).to(tl.float32) / area
            result += tl.where(in_rows & (column >= bin_column) & (column < bin_end_column), share, 0.0)
    mask = is_channel & (row < height) & (column < width)
    offs = batch * stride_yb + channel * stride_yc + row * stride_yh + column * stride_yw
    tl.store(grad_y + offs, result.to(grad_y.dtype.element_ty), mask=mask)
