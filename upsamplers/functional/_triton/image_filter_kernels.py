"""Kernels for two filters of K x K, stride 2, that belong to one image and run over all its channels.

A program has a tile of output pixels and loops over channels. It keeps both filters, 2 · K² numbers, in registers.
K / 2 is odd: then what a filter sees begins at an even row and column, and y is read two neighbours of a row at a
time. All sums are of float32.
"""

# mypy: disable-error-code=assignment
import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks, fits_layout, output_tile

SIZES = ("BLOCK_C", "BLOCK_H", "BLOCK_W", "CHANNELS")
# One channel after the other of a tile of pixels where rows are contiguous, some at once of small images; where
# channels are contiguous, many of few pixels.
ROW_BLOCKS = blocks(
    SIZES, (8, 4, 4, 32, 4), (1, 4, 32, 32, 4), (1, 8, 16, 32, 4), (1, 4, 32, 64, 4), (1, 2, 32, 32, 2),
    (1, 4, 16, 32, 2), (1, 8, 16, 16, 4), (2, 8, 8, 32, 4),
)  # fmt: skip
CHANNEL_SIZES = (32, 2, 4, 128, 4), (32, 4, 4, 256, 4), (64, 2, 2, 256, 4), (64, 4, 1, 256, 2), (128, 1, 2, 256, 4)
CHANNEL_BLOCKS = blocks(SIZES, *CHANNEL_SIZES)
# Where rows are contiguous a thread has ROWS output pixels.
FORWARD_BLOCKS = blocks(
    (*SIZES, "ROWS"),
    (8, 4, 4, 32, 1, 4), (1, 4, 32, 32, 2, 4), (1, 8, 16, 16, 2, 4), (1, 4, 32, 16, 2, 4), (1, 2, 32, 32, 2, 2),
    (1, 4, 16, 32, 2, 2), (1, 1, 32, 32, 2, 1), (1, 2, 32, 16, 3, 2), (1, 2, 64, 32, 2, 4), (1, 8, 16, 16, 1, 4),
    *((*sizes[:-1], 1, sizes[-1]) for sizes in CHANNEL_SIZES),
)  # fmt: skip
KEYS = ("channels", *AUTOTUNE_KEYS, "IN_ROWS")


@triton.jit
def load_filters(filters, COUNT: tl.constexpr):
    """So many numbers of each filter, row by row, in float32: first those of the one, then those of the other."""
    weights = ()
    for tap in tl.static_range(COUNT):
        weights += (tl.load(filters + tap).to(tl.float32),)
    return weights


@triton.jit
def load_window(
    y, channel, row, column, channels, height, width, stride_yc, stride_yh, stride_yw,
    K: tl.constexpr, ROWS: tl.constexpr, IN_ROWS: tl.constexpr,
):  # fmt: skip
    """The values (C, P) that ROWS output pixels, one below the other, see: K of each row; outside the image zero."""
    if IN_ROWS:  # of an even number of pixels: what lets two neighbours be one load
        # The first is 1, a constant, where one channel is laid out as channels_last.
        stride_yc, stride_yh = stride_yc // 2 * 2, tl.multiple_of(stride_yh, 2)
    first_column = 2 * column - (K // 2 - 1)
    values = ()
    for tap_row in tl.static_range(K + 2 * ROWS - 2):
        y_row = 2 * row + (tap_row - K // 2 + 1)
        in_image = (row < height) & (y_row >= 0) & (y_row < 2 * height)
        ptrs = y + (channel[:, None] * stride_yc + (y_row * stride_yh + first_column * stride_yw)[None, :])
        for pair in tl.static_range(K // 2):  # from one address of the row
            inside = in_image & (first_column + 2 * pair >= 0) & (first_column + 2 * pair < 2 * width)
            mask = (channel < channels)[:, None] & inside[None, :]
            if IN_ROWS:
                both_ptrs = ptrs[:, :, None] + (tl.arange(0, 2)[None, None, :] + 2 * pair)
                left, right = tl.split(tl.load(both_ptrs, mask=mask[:, :, None], other=0.0))
            else:
                left = tl.load(ptrs + 2 * pair * stride_yw, mask=mask, other=0.0)
                right = tl.load(ptrs + (2 * pair + 1) * stride_yw, mask=mask, other=0.0)
            values += (left.to(tl.float32), right.to(tl.float32))
    return values


@tuned(FORWARD_BLOCKS, KEYS, fits=fits_layout)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def filter_per_image_fwd_kernel(
    y, filters, out_u, out_v, channels, height, width, tune_pixels, tune_images,
    stride_yb, stride_yc, stride_yh, stride_yw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    K: tl.constexpr, IN_ROWS: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """out[c, i, j] = Σ_mn f[m, n] · y[c, 2i + m - K/2 + 1, 2j + n - K/2 + 1], for both filters.

    A thread has ROWS output pixels, one below the other, which share what they see.
    """
    batch = tl.program_id(2).to(tl.int64)
    row, column, _ = output_tile(height, width, BLOCK_H, BLOCK_W)
    row *= ROWS
    weights = load_filters(filters + batch * (2 * K * K), 2 * K * K)
    y += batch * stride_yb
    offs_o = batch * stride_ob + row * stride_oh + column * stride_ow
    is_pixel = (row < height) & (column < width)
    first = tl.program_id(1) * CHANNELS
    for start in range(first, tl.minimum(first + CHANNELS, channels), BLOCK_C):
        channel = start + tl.arange(0, BLOCK_C)
        values = load_window(
            y, channel, row, column, channels, height, width, stride_yc, stride_yh, stride_yw, K, ROWS, IN_ROWS
        )
        for down in tl.static_range(ROWS):
            u = tl.zeros([BLOCK_C, BLOCK_H * BLOCK_W], tl.float32)
            v = tl.zeros([BLOCK_C, BLOCK_H * BLOCK_W], tl.float32)
            for tap in tl.static_range(K * K):
                u += weights[tap] * values[2 * K * down + tap]
                v += weights[K * K + tap] * values[2 * K * down + tap]
            mask = (channel < channels)[:, None] & (is_pixel & (row + down < height))[None, :]
            offs = channel[:, None] * stride_oc + (offs_o + down * stride_oh)[None, :]
            tl.store(out_u + offs, u.to(out_u.dtype.element_ty), mask=mask)
            tl.store(out_v + offs, v.to(out_v.dtype.element_ty), mask=mask)


@tuned([*ROW_BLOCKS, *CHANNEL_BLOCKS], KEYS, fits=fits_layout)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def filter_per_image_bwd_dy_kernel(
    grad_u, grad_v, filters, grad_y, channels, height, width, tune_pixels, tune_images,
    stride_yb, stride_yc, stride_yh, stride_yw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    K: tl.constexpr, IN_ROWS: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Gathers, for the 2 x 2 pixels of y at each output pixel, the gradients of all outputs that see them."""
    batch = tl.program_id(2).to(tl.int64)
    row, column, is_pixel = output_tile(height, width, BLOCK_H, BLOCK_W)
    weights = load_filters(filters + batch * (2 * K * K), 2 * K * K)
    grad_u += batch * stride_ob
    grad_v += batch * stride_ob
    offs_y = batch * stride_yb + 2 * row * stride_yh + 2 * column * stride_yw
    first = tl.program_id(1) * CHANNELS
    for start in range(first, tl.minimum(first + CHANNELS, channels), BLOCK_C):
        channel = start + tl.arange(0, BLOCK_C)
        is_channel = (channel < channels)[:, None]
        u = load_seen(grad_u, channel, row, column, is_channel, height, width, stride_oc, stride_oh, stride_ow, K // 2)
        v = load_seen(grad_v, channel, row, column, is_channel, height, width, stride_oc, stride_oh, stride_ow, K // 2)
        y_ptrs = grad_y + (channel[:, None] * stride_yc + offs_y[None, :])
        for lower in tl.static_range(2):
            left = tl.zeros([BLOCK_C, BLOCK_H * BLOCK_W], tl.float32)
            right = tl.zeros([BLOCK_C, BLOCK_H * BLOCK_W], tl.float32)
            for seen in tl.static_range(K * K // 4):
                left += weights[K * (2 * (seen // (K // 2)) + lower) + 2 * (seen % (K // 2))] * u[seen]
                left += weights[K * (K + 2 * (seen // (K // 2)) + lower) + 2 * (seen % (K // 2))] * v[seen]
                right += weights[K * (2 * (seen // (K // 2)) + lower) + 2 * (seen % (K // 2)) + 1] * u[seen]
                right += weights[K * (K + 2 * (seen // (K // 2)) + lower) + 2 * (seen % (K // 2)) + 1] * v[seen]
            store_pair(y_ptrs + lower * stride_yh, left, right, is_channel & is_pixel[None, :], stride_yw, IN_ROWS)


@triton.jit
def load_seen(
    grad, channel, row, column, is_channel, height, width, stride_oc, stride_oh, stride_ow, SIDE: tl.constexpr
):  # fmt: skip
    """The gradients (C, P) of the outputs that see a 2 x 2 cell of y, in the order of the taps they see it with."""
    values = ()
    for down in tl.static_range(SIDE):
        seen_row = row + (SIDE // 2 - down)
        in_image = (seen_row >= 0) & (seen_row < height)
        for across in tl.static_range(SIDE):
            seen_column = column + (SIDE // 2 - across)
            inside = in_image & (seen_column >= 0) & (seen_column < width)
            offs = channel[:, None] * stride_oc + (seen_row * stride_oh + seen_column * stride_ow)[None, :]
            values += (tl.load(grad + offs, mask=is_channel & inside[None, :], other=0.0).to(tl.float32),)
    return values


@triton.jit
def store_pair(ptrs, left, right, mask, stride_yw, IN_ROWS: tl.constexpr):
    """Writes pixels (C, P) and their right neighbours."""
    left, right = left.to(ptrs.dtype.element_ty), right.to(ptrs.dtype.element_ty)
    if IN_ROWS:
        tl.store(ptrs[:, :, None] + tl.arange(0, 2)[None, None, :], tl.join(left, right), mask=mask[:, :, None])
    else:
        tl.store(ptrs, left, mask=mask)
        tl.store(ptrs + stride_yw, right, mask=mask)


@tuned(blocks((), (2,), (4,)), KEYS, fits=lambda config, arguments: (config.num_warps == 2) == arguments["IN_ROWS"])
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def filter_per_image_bwd_dfilters_kernel(
    y, grad_u, grad_v, sums, channels, height, width, tune_pixels, tune_images,
    stride_yb, stride_yc, stride_yh, stride_yw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    K: tl.constexpr, IN_ROWS: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """A program's share of grad_f[m, n] = Σ_cij grad[c, i, j] · y[c, 2i + m - K/2 + 1, 2j + n - K/2 + 1]."""
    batch = tl.program_id(2).to(tl.int64)
    row, column, is_pixel = output_tile(height, width, BLOCK_H, BLOCK_W)
    y += batch * stride_yb
    offs_o = batch * stride_ob + row * stride_oh + column * stride_ow
    totals = ()
    for _ in tl.static_range(2 * K * K):
        totals += (tl.zeros([BLOCK_C, BLOCK_H * BLOCK_W], tl.float32),)
    first = tl.program_id(1) * CHANNELS
    for start in range(first, tl.minimum(first + CHANNELS, channels), BLOCK_C):
        channel = start + tl.arange(0, BLOCK_C)
        values = load_window(
            y, channel, row, column, channels, height, width, stride_yc, stride_yh, stride_yw, K, 1, IN_ROWS
        )
        mask = (channel < channels)[:, None] & is_pixel[None, :]
        offs = channel[:, None] * stride_oc + offs_o[None, :]
        u = tl.load(grad_u + offs, mask=mask, other=0.0).to(tl.float32)
        v = tl.load(grad_v + offs, mask=mask, other=0.0).to(tl.float32)
        larger = ()
        for tap in tl.static_range(K * K):
            larger += (totals[tap] + u * values[tap],)
        for tap in tl.static_range(K * K):
            larger += (totals[K * K + tap] + v * values[tap],)
        totals = larger
    program = (batch * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(0) + tl.program_id(0)
    for tap in tl.static_range(2 * K * K):
        tl.store(sums + program * (2 * K * K) + tap, tl.sum(totals[tap]))
