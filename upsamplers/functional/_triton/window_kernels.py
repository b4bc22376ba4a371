"""Kernels for what reads a k x k window of an input pixel for each of the s² output pixels that lie in it.

One trilinear form, Σ w[m, a, b, i, j] · x[c, i + dy, j + dx] · y[c, s·i + a, s·j + b] over channels c, pixels (i, j),
sub-pixels (a, b) and taps m = (dy, dx), has three derivatives, and each is a kernel. That of y reassembles x
(window_sum), that of x spreads y over the windows (window_spread), that of w are products of y with the window of x
around it (window_dots): a local affinity. So these three are each other's gradients.

Weights are (B, Zk²s², H, W), as before a pixel shuffle, or (B, Zk², sH, sW): the strides of a tap and of a sub-pixel's
row and column tell where. What is read beyond a border is zero, or reflected. All sums are of float32. Offsets within
an image are of 32 bits.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

# mypy: disable-error-code="assignment, misc, var-annotated"
import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, LOWEST, blocks, fits_registers, image_tile

# Channels, pixels and columns of a program: many channels reuse a weight, square tiles reuse what windows share. Where
# rows are contiguous a thread has a pixel and all the channels, where channels are, a few pixels lie across a warp. The
# last blocks are for large scales.
TILE = ("BLOCK_C", "BLOCK_P", "BLOCK_W")
SUM_BLOCKS = blocks(
    TILE, (8, 128, 32, 4), (8, 64, 32, 2), (8, 64, 16, 2), (4, 128, 32, 4), (4, 128, 16, 4),
    (4, 64, 16, 2), (8, 32, 16, 1), (4, 256, 32, 8), (16, 128, 32, 4), (16, 64, 32, 2), (2, 128, 32, 4),
    (64, 16, 4, 4), (128, 8, 4, 4), (256, 8, 4, 8), (64, 8, 4, 4), (128, 16, 4, 8), (32, 16, 4, 4),
    (4, 8, 8, 8),
)  # fmt: skip
# The rows of a tile share what they read of y.
SPREAD_BLOCKS = blocks(
    TILE, (16, 64, 32, 1), (16, 128, 64, 2), (16, 256, 128, 4), (8, 128, 32, 1), (8, 64, 32, 1), (16, 32, 32, 1),
    (8, 256, 64, 2), (8, 128, 64, 2), (4, 128, 32, 1),
    (64, 8, 4, 4), (64, 16, 4, 4), (64, 32, 8, 4), (128, 16, 4, 4), (64, 16, 8, 4), (128, 8, 4, 4), (8, 8, 8, 4),
)  # fmt: skip
# A thread has the k² · s² sums of a pixel; the last ones are for large windows and scales.
DOT_BLOCKS = blocks(
    ("BLOCK_C", "BLOCK_P"), (4, 32, 4), (8, 16, 4), (2, 32, 2), (4, 16, 2), (8, 32, 8), (4, 64, 8), (32, 4, 4),
    (16, 8, 4), (8, 8, 2), (1, 32, 1), (1, 32, 4), (1, 16, 4), (1, 8, 8),
)  # fmt: skip
TAP_BLOCKS = blocks(
    ("BLOCK_C", "BLOCK_P"),
    (4, 32, 4),
    (2, 32, 2),
    (8, 32, 8),
    (2, 64, 4),
    (4, 64, 8),
    (1, 32, 1),
    (8, 16, 4),
    (16, 16, 8),
)
WEIGHT_BLOCKS = blocks(("BLOCK_P",), (128, 4), (64, 2), (64, 4), (32, 1), (128, 8), (32, 2), (16, 4))


def fits_layout(
    configs: Sequence[Any], sums: Callable[[Mapping[str, Any]], int], columns: Callable[[Mapping[str, Any]], int]
) -> Callable[..., bool]:
    """A rule that a program's sums stay in registers, and that every thread has columns of its own exactly if rows are
    contiguous. The last configuration is for what fits no other.

    Args:
        configs: all configurations.
        sums: of a pixel.
        columns: of a program.
    """
    in_registers = fits_registers(configs, sums)

    def fits(config: Any, arguments: Mapping[str, Any]) -> bool:
        has_own_columns = columns({**arguments, **config.kwargs}) >= 32 * config.num_warps
        return config is configs[-1] or (has_own_columns != arguments["C_LAST"] and in_registers(config, arguments))

    return fits


# What decides which blocks are best; sizes by their power of two, so that another image size is not tuned again.
KEYS = ("channels", *AUTOTUNE_KEYS, "K", "S", "stride_xw", "stride_ww")
SUMS_FIT = fits_layout(
    SUM_BLOCKS, lambda given: given["SUBS"] * given["BLOCK_C"] * given["COLUMNS"], lambda given: given["BLOCK_P"]
)
SPREADS_FIT = fits_layout(SPREAD_BLOCKS, lambda given: given["BLOCK_C"], lambda given: given["BLOCK_W"])
# Twice as many sums as other kernels keep.
TAPS_FIT = fits_registers(DOT_BLOCKS, lambda given: given["TAPS"] * given["SUBS"] * given["BLOCK_C"] // 2)
WEIGHTS_FIT = fits_registers(WEIGHT_BLOCKS, lambda given: given["TAPS"])


@triton.jit
def reflected(index, size):
    """The index within [0, size) that one beyond its ends mirrors."""
    return (size - 1) - tl.abs((size - 1) - tl.abs(index))


@triton.jit
def even(stride):
    """A stride that the compiler may take to be even, so that two neighbours are one load."""
    return stride // 2 * 2


@triton.jit
def lane_offsets(offsets, more, LENGTH: tl.constexpr):
    """The sum of two offsets, each of the LENGTH along the last dimension to be read by a thread of its own.

    Left alone, the compiler gives a thread several neighbours where their addresses allow it, and where it sees no
    neighbours takes another dimension first: then the factors of a product lie in different threads, and each goes
    through shared memory.
    """
    return tl.multiple_of(tl.max_contiguous(offsets + more, (1, 1, LENGTH)), (1, 1, 1))


@triton.jit
def along(values, AXIS: tl.constexpr):
    """Values along one of three axes."""
    return values[:, None, None] if AXIS == 0 else (values[None, :, None] if AXIS == 1 else values[None, None, :])


@triton.jit
def load_neighbours(ptrs, mask, COLUMNS: tl.constexpr):
    """A tuple of what lies side by side from each of these addresses (three axes), in float32."""
    if COLUMNS == 1:
        values = (tl.load(ptrs, mask=mask, other=0.0).to(tl.float32),)
    else:
        pairs = tl.load(ptrs[:, :, :, None] + tl.arange(0, 2)[None, None, None, :], mask=mask[:, :, :, None], other=0.0)
        left, right = tl.split(pairs)
        values = (left.to(tl.float32), right.to(tl.float32))
    return values


@tuned(SUM_BLOCKS, (*KEYS, "COLUMNS"), fits=SUMS_FIT)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def window_sum_fwd_kernel(
    x, weights, guide, gate, out,
    channels, height, width, groups, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_wb, stride_wg, stride_wt, stride_wh, stride_ww, stride_w_sub_h, stride_w_sub_w,
    stride_gb, stride_gc, stride_gh, stride_gw,
    K: tl.constexpr, S: tl.constexpr, SUBS: tl.constexpr, C_LAST: tl.constexpr, REFLECT: tl.constexpr,
    PADDED: tl.constexpr, HAS_GUIDE: tl.constexpr, COLUMNS: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """out[c, s·i + a, s·j + b] = Σ_m w[m, a, b, i, j] · x[c, i + dy, j + dx], plus gate · guide.

    With COLUMNS = 2, where rows are contiguous and all strides even, a thread has two pixels side by side: they share
    what they read of x, two neighbours at a time. PADDED: around x, too, lie pixels that may be read.
    """
    HALF: tl.constexpr = (K // 2 + 1) // 2 if COLUMNS == 2 else K // 2  # loads to either side of a thread's pixels
    # Where all addresses have gaps, the compiler lays the threads of a warp along the first axis.
    SUB_AXIS: tl.constexpr = 1 if COLUMNS == 2 else 0
    C_AXIS: tl.constexpr = 2 if COLUMNS == 2 or C_LAST else 1
    P_AXIS: tl.constexpr = 3 - SUB_AXIS - C_AXIS
    batch, group = image_tile(groups)
    tiles = tl.cdiv(width, BLOCK_W * COLUMNS)
    first_row = tl.program_id(0) // tiles * (BLOCK_P // BLOCK_W)
    first_column = tl.program_id(0) % tiles * (BLOCK_W * COLUMNS)
    row = along(first_row + tl.arange(0, BLOCK_P) // BLOCK_W, P_AXIS)
    column = along(first_column + tl.arange(0, BLOCK_P) % BLOCK_W * COLUMNS, P_AXIS)
    sub = along(tl.arange(0, SUBS), SUB_AXIS)
    channel = along(tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C), C_AXIS)
    is_channel, is_pixel = channel < channels, (row < height) & (column < width)
    is_out = (sub < S * S) & is_pixel
    if COLUMNS == 2:
        stride_xb, stride_xc, stride_xh = even(stride_xb), even(stride_xc), even(stride_xh)
        stride_wb, stride_wg, stride_wt, stride_wh = even(stride_wb), even(stride_wg), even(stride_wt), even(stride_wh)
        stride_w_sub_h, stride_w_sub_w = even(stride_w_sub_h), even(stride_w_sub_w)
    x += batch * stride_xb + group.to(tl.int64) * channels * stride_xc
    out += batch * stride_ob + group.to(tl.int64) * channels * stride_oc
    weights += batch * stride_wb + group.to(tl.int64) * stride_wg
    offs_sub, offs_pixel = sub // S * stride_w_sub_h + sub % S * stride_w_sub_w, row * stride_wh + column * stride_ww
    own_column: tl.constexpr = C_LAST or COLUMNS == 2
    w_ptrs = weights + (offs_sub + offs_pixel if own_column else lane_offsets(offs_sub, offs_pixel, BLOCK_P))

    in_rows: tl.constexpr = [BLOCK_P, SUBS, BLOCK_C] if COLUMNS == 2 else [SUBS, BLOCK_C, BLOCK_P]
    shape: tl.constexpr = [SUBS, BLOCK_P, BLOCK_C] if C_LAST else in_rows
    results = ()
    for _ in tl.static_range(COLUMNS):
        results += (tl.zeros(shape, tl.float32),)
    for tap_row in range(K):  # the pixels of a row of the window lie side by side, where one address serves all
        down = row + (tap_row - K // 2)
        inside = is_pixel
        if REFLECT:
            down = reflected(down, height)
        elif not PADDED:
            inside = inside & (down >= 0) & (down < height)
        offs_c, offs_pixel = channel * stride_xc, down * stride_xh + column * stride_xw
        x_ptrs = x + (offs_c + offs_pixel if own_column else lane_offsets(offs_c, offs_pixel, BLOCK_P))
        window = ()
        for step in tl.static_range(2 * HALF + 1):
            right = (step - HALF) * COLUMNS
            if REFLECT:
                moved = (reflected(column + right, width) - column) * stride_xw
                window += load_neighbours(x_ptrs + moved, is_channel & inside, COLUMNS)
            else:
                is_read = inside if PADDED else inside & (column + right >= 0) & (column + right < width)
                mask = is_channel & is_read
                window += load_neighbours(x_ptrs + right * stride_xw, mask, COLUMNS)
        for tap_column in tl.static_range(K):
            weight = load_neighbours(w_ptrs + (tap_row * K + tap_column) * stride_wt, is_out, COLUMNS)
            larger = ()
            for side in tl.static_range(COLUMNS):
                seen = window[HALF * COLUMNS - K // 2 + tap_column + side]
                larger += (results[side] + weight[side] * seen,)
            results = larger

    if not C_LAST and SUBS == S * S:  # a row of output pixels side by side
        if COLUMNS == 2:
            result = tl.join(results[0], results[1])
            result = tl.reshape(result, (BLOCK_P // BLOCK_W, BLOCK_W, S, S, BLOCK_C, 2))
            result = tl.permute(result, (4, 0, 2, 1, 5, 3))
        else:
            result = tl.reshape(results[0], (S, S, BLOCK_C, BLOCK_P // BLOCK_W, BLOCK_W))
            result = tl.permute(result, (2, 3, 0, 4, 1))
        result = tl.reshape(result, (1, BLOCK_C, BLOCK_P * COLUMNS * SUBS))
        channel = along(tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C), 1)
        is_channel = channel < channels
        out_pixel = tl.arange(0, BLOCK_P * COLUMNS * SUBS)[None, None, :]
        out_row = first_row * S + out_pixel // (BLOCK_W * COLUMNS * S)
        out_column = first_column * S + out_pixel % (BLOCK_W * COLUMNS * S)
        mask = (out_row < height * S) & (out_column < width * S)
    else:
        result = results[0]
        out_row, out_column = row * S + sub // S, column * S + sub % S
        mask = is_out
    if HAS_GUIDE:
        share = gate + batch * (S * S * height * width) + (out_row * (width * S) + out_column)
        share = tl.load(share, mask=mask, other=0.0).to(tl.float32)
        guide += batch * stride_gb + group.to(tl.int64) * channels * stride_gc
        g_ptrs = guide + (channel * stride_gc + (out_row * stride_gh + out_column * stride_gw))
        result += share * tl.load(g_ptrs, mask=is_channel & mask, other=0.0).to(tl.float32)
    offs_out = channel * stride_oc + (out_row * stride_oh + out_column * stride_ow)
    tl.store(out + offs_out, result.to(out.dtype.element_ty), mask=is_channel & mask)


@triton.jit
def load_sides(ptrs, mask, stride, COUNT: tl.constexpr, PAIRED: tl.constexpr):
    """A tuple of so many values from each of these addresses (three axes), in float32; PAIRED: two, side by side."""
    if PAIRED:
        values = load_neighbours(ptrs, mask, 2)
    else:
        values = ()
        for side in tl.static_range(COUNT):
            values += (tl.load(ptrs + side * stride, mask=mask, other=0.0).to(tl.float32),)
    return values


@tuned(SPREAD_BLOCKS, (*KEYS, "PAIRED"), fits=SPREADS_FIT)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def window_spread_kernel(
    y, weights, out,
    channels, height, width, groups, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_yb, stride_yc, stride_yh, stride_yw,
    stride_wb, stride_wg, stride_wt, stride_wh, stride_ww, stride_w_sub_h, stride_w_sub_w,
    K: tl.constexpr, S: tl.constexpr, C_LAST: tl.constexpr, PAIRED: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """out[c, i, j] = Σ of w · y over the taps and sub-pixels of all output pixels whose window has the pixel (i, j).

    A thread sums for several rows of pixels, so that what it reads of y serves them all. PAIRED: the two output columns
    of a pixel are one load.
    """
    ROWS: tl.constexpr = BLOCK_P // BLOCK_W
    # Where all addresses have gaps, the compiler lays the threads of a warp along the first axis.
    W_AXIS: tl.constexpr = 1 if C_LAST else 0
    batch, group = image_tile(groups)
    tiles = tl.cdiv(width, BLOCK_W)
    first_row, first_column = tl.program_id(0) // tiles * ROWS, tl.program_id(0) % tiles * BLOCK_W
    channel = along(tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C), 2)
    row = along(first_row + tl.arange(0, ROWS), 1 - W_AXIS)
    column = along(first_column + tl.arange(0, BLOCK_W), W_AXIS)
    is_channel, is_column = channel < channels, column < width
    if PAIRED:
        stride_yb, stride_yc, stride_yh = even(stride_yb), even(stride_yc), even(stride_yh)
    y += batch * stride_yb + group.to(tl.int64) * channels * stride_yc
    weights += batch * stride_wb + group.to(tl.int64) * stride_wg
    offs_y, offs_w = channel * stride_yc + column * S * stride_yw, column * stride_ww

    shape: tl.constexpr = [ROWS, BLOCK_W, BLOCK_C] if C_LAST else [BLOCK_W, ROWS, BLOCK_C]
    result = tl.zeros(shape, tl.float32)
    for step in range((K + ROWS - 1) * S):  # a row of output pixels; those of a window's row have one address
        seen_row, sub_row = first_row - K // 2 + step // S, step % S
        tap_row = row - seen_row + K // 2
        is_tap = (tap_row >= 0) & (tap_row < K)
        inside = is_column & (seen_row + tl.zeros_like(column) >= 0) & (seen_row + tl.zeros_like(column) < height)
        y_row = y + (offs_y + (seen_row * S + sub_row) * stride_yh)
        offs_row = offs_w + (tap_row * K * stride_wt + (seen_row * stride_wh + sub_row * stride_w_sub_h))
        if not C_LAST:  # a column a thread, not several
            offs_row = tl.multiple_of(tl.max_contiguous(offs_row, (BLOCK_W, 1, 1)), (1, 1, 1))
        w_rows = weights + offs_row
        for tap_column in tl.static_range(K):
            left = K // 2 - tap_column
            mask = inside & (column + left >= 0) & (column + left < width)
            values = load_sides(y_row + left * S * stride_yw, is_channel & mask, stride_yw, S, PAIRED)
            for side in tl.static_range(S):
                w_ptrs = w_rows + (tap_column * stride_wt + side * stride_w_sub_w + left * stride_ww)
                result += tl.load(w_ptrs, mask=is_tap & mask, other=0.0).to(tl.float32) * values[side]

    out += batch * stride_xb + group.to(tl.int64) * channels * stride_xc
    offs_out = channel * stride_xc + (row * stride_xh + column * stride_xw)
    tl.store(out + offs_out, result.to(out.dtype.element_ty), mask=is_channel & ((row < height) & is_column))


@tuned(DOT_BLOCKS, KEYS, fits=TAPS_FIT)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def window_dots_kernel(
    x, y, dots,
    channels, height, width, groups, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_yb, stride_yc, stride_yh, stride_yw,
    stride_wb, stride_wg, stride_wt, stride_wh, stride_ww, stride_w_sub_h, stride_w_sub_w,
    K: tl.constexpr, S: tl.constexpr, TAPS: tl.constexpr, SUBS: tl.constexpr, C_LAST: tl.constexpr,
    REFLECT: tl.constexpr, SOFTMAX: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """dots[m, a, b, i, j] = Σ_c x[c, i + dy, j + dx] · y[c, s·i + a, s·j + b], or their softmax over m.

    A thread has all taps and sub-pixels of a pixel for one channel of BLOCK_C: what it loads serves k² · s² products.
    """
    batch, group = image_tile(groups)
    place = tl.arange(0, BLOCK_C * BLOCK_P)[None, None, :]
    pixel = tl.program_id(0) * BLOCK_P + (place // BLOCK_C if C_LAST else place % BLOCK_P)
    channel = place % BLOCK_C if C_LAST else place // BLOCK_P
    row, column = pixel // width, pixel % width
    tap, sub = tl.arange(0, TAPS)[None, :, None], tl.arange(0, SUBS)[:, None, None]
    down, right = row + (tap // K - K // 2), column + (tap % K - K // 2)
    inside = (tap < K * K) & (row < height)
    if REFLECT:
        down, right = reflected(down, height), reflected(right, width)
    else:
        inside = inside & (down >= 0) & (down < height) & (right >= 0) & (right < width)
    is_out = (sub < S * S) & (row < height)
    offs_x = down * stride_xh + right * stride_xw
    offs_y = (row * S + sub // S) * stride_yh + (column * S + sub % S) * stride_yw
    x_ptrs = x + batch * stride_xb + group.to(tl.int64) * channels * stride_xc
    x_ptrs = x_ptrs + lane_offsets(channel * stride_xc, offs_x, BLOCK_C * BLOCK_P)
    y_ptrs = y + batch * stride_yb + group.to(tl.int64) * channels * stride_yc
    y_ptrs = y_ptrs + lane_offsets(channel * stride_yc, offs_y, BLOCK_C * BLOCK_P)

    result = tl.zeros([SUBS, TAPS, BLOCK_C * BLOCK_P], tl.float32)
    window = tl.load(x_ptrs, mask=inside & (channel < channels), other=0.0)
    value = tl.load(y_ptrs, mask=is_out & (channel < channels), other=0.0)
    for first in range(BLOCK_C, channels, BLOCK_C):  # the next channels are loaded while some are multiplied
        is_channel = first + channel < channels
        x_ptrs += BLOCK_C * stride_xc
        y_ptrs += BLOCK_C * stride_yc
        next_window = tl.load(x_ptrs, mask=inside & is_channel, other=0.0)
        next_value = tl.load(y_ptrs, mask=is_out & is_channel, other=0.0)
        result += window.to(tl.float32) * value.to(tl.float32)
        window, value = next_window, next_value
    result += window.to(tl.float32) * value.to(tl.float32)

    if C_LAST:
        result = tl.sum(tl.reshape(result, (SUBS, TAPS, BLOCK_P, BLOCK_C)), axis=3)
    else:
        result = tl.sum(tl.reshape(result, (SUBS, TAPS, BLOCK_C, BLOCK_P)), axis=2)
    pixel = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[None, None, :]
    row, column = pixel // width, pixel % width
    if SOFTMAX:
        result = tl.where(tap < K * K, result, LOWEST)
        result = tl.exp(result - tl.max(result, axis=1, keep_dims=True))
        result = result * (1.0 / tl.sum(result, axis=1, keep_dims=True))
    offs = tap * stride_wt + (sub // S * stride_w_sub_h + sub % S * stride_w_sub_w)
    offs = offs + (row * stride_wh + column * stride_ww)
    mask = (tap < K * K) & (sub < S * S) & (row < height)
    dots += batch * stride_wb + group.to(tl.int64) * stride_wg
    tl.store(dots + offs, result.to(dots.dtype.element_ty), mask=mask)


@tuned(TAP_BLOCKS, KEYS, derived={"UNMASKED": lambda given: given["channels"] % given["BLOCK_C"] == 0})
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def window_dots_by_tap_kernel(
    x, y, dots,
    channels, height, width, groups, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_yb, stride_yc, stride_yh, stride_yw,
    stride_wb, stride_wg, stride_wt, stride_wh, stride_ww, stride_w_sub_h, stride_w_sub_w,
    K: tl.constexpr, S: tl.constexpr, SIDES: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
    UNMASKED: tl.constexpr,
):  # fmt: skip
    """`window_dots_kernel` for small windows in contiguous rows, without softmax: no sums for taps beyond k²."""
    batch, group = image_tile(groups)
    place = tl.arange(0, BLOCK_C * BLOCK_P)[:, None, None]
    pixel, channel = tl.program_id(0) * BLOCK_P + place % BLOCK_P, place // BLOCK_P
    row, column = pixel // width, pixel % width
    sub_row, sub_column = tl.arange(0, SIDES)[None, :, None], tl.arange(0, SIDES)[None, None, :]
    is_out = (sub_row < S) & (sub_column < S) & (row < height)
    x_ptrs = x + batch * stride_xb + group.to(tl.int64) * channels * stride_xc
    x_ptrs = x_ptrs + (channel * stride_xc + (row * stride_xh + column * stride_xw))
    y_ptrs = y + batch * stride_yb + group.to(tl.int64) * channels * stride_yc
    y_ptrs = y_ptrs + (channel * stride_yc + ((row * S + sub_row) * stride_yh + (column * S + sub_column) * stride_yw))
    sums = ()
    for _ in tl.static_range(K * K):
        sums += (tl.zeros([BLOCK_C * BLOCK_P, SIDES, SIDES], tl.float32),)
    value = tl.load(y_ptrs, mask=is_out & (channel < channels), other=0.0)
    for first in range(0, channels, BLOCK_C):
        y_ptrs += BLOCK_C * stride_yc  # the next are loaded while these are multiplied
        next_value = tl.load(y_ptrs, mask=is_out & (first + BLOCK_C + channel < channels), other=0.0)
        is_channel = row < height if UNMASKED else (row < height) & (first + channel < channels)
        larger = ()
        for tap_row in tl.static_range(K):
            down = tap_row - K // 2
            inside = is_channel & (row + down >= 0) & (row + down < height)
            row_ptrs = x_ptrs + down * stride_xh
            for tap_column in tl.static_range(K):
                right = tap_column - K // 2
                mask = inside & (column + right >= 0) & (column + right < width)
                window = tl.load(row_ptrs + right * stride_xw, mask=mask, other=0.0)
                larger += (sums[tap_row * K + tap_column] + window.to(tl.float32) * value.to(tl.float32),)
        sums = larger
        x_ptrs += BLOCK_C * stride_xc
        value = next_value

    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)[:, None, None]
    row, column = pixel // width, pixel % width
    mask = (sub_row < S) & (sub_column < S) & (row < height)
    offs = sub_row * stride_w_sub_h + sub_column * stride_w_sub_w + (row * stride_wh + column * stride_ww)
    dots += batch * stride_wb + group.to(tl.int64) * stride_wg
    for tap in tl.static_range(K * K):
        total = tl.sum(tl.reshape(sums[tap], (BLOCK_C, BLOCK_P, SIDES, SIDES)), axis=0)
        tl.store(dots + tap * stride_wt + offs, total.to(dots.dtype.element_ty), mask=mask)


@tuned(WEIGHT_BLOCKS, ("K", "S", *AUTOTUNE_KEYS, "stride_lw"), fits=WEIGHTS_FIT)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def window_weights_fwd_kernel(
    logits, shared_logits, gate, weights,
    height, width, groups, tune_pixels, tune_images,
    stride_lb, stride_lg, stride_lt, stride_lh, stride_lw, stride_l_sub_h, stride_l_sub_w,
    stride_sb, stride_sg, stride_st, stride_sh, stride_sw,
    K: tl.constexpr, S: tl.constexpr, TAPS: tl.constexpr, SIGMOID: tl.constexpr, HAS_SHARED: tl.constexpr,
    HAS_GATE: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The softmax over a window's logits, or over their sigmoids, as (B, Zk²s², H, W); times one minus a gate."""
    batch, group = image_tile(groups)
    pixel, sub, tap = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P), tl.program_id(1), tl.arange(0, TAPS)[:, None]
    row, column = (pixel // width)[None, :], (pixel % width)[None, :]
    mask = (tap < K * K) & (row < height)
    logits += batch * stride_lb + group.to(tl.int64) * stride_lg + sub // S * stride_l_sub_h + sub % S * stride_l_sub_w
    value = tl.load(logits + (tap * stride_lt + (row * stride_lh + column * stride_lw)), mask=mask, other=0.0)
    value = value.to(tl.float32)
    if HAS_SHARED:
        shared_logits += batch * stride_sb + group.to(tl.int64) * stride_sg
        s_ptrs = shared_logits + (tap * stride_st + (row * stride_sh + column * stride_sw))
        value += tl.load(s_ptrs, mask=mask, other=0.0).to(tl.float32)
    if SIGMOID:
        value = tl.sigmoid(value)
    value = tl.where(tap < K * K, value, LOWEST)
    value = tl.exp(value - tl.max(value, axis=0, keep_dims=True))
    value = value * (1.0 / tl.sum(value, axis=0, keep_dims=True))
    if HAS_GATE:
        gate += batch * (S * S * height * width)
        offs_g = (row * S + sub // S) * (width * S) + (column * S + sub % S)
        value = value * (1.0 - tl.load(gate + offs_g, mask=row < height, other=0.0).to(tl.float32))
    weights += tl.program_id(2).to(tl.int64) * (K * K * S * S) * height * width
    w_ptrs = weights + ((tap * (S * S) + sub) * (height * width) + pixel[None, :])
    tl.store(w_ptrs, value.to(weights.dtype.element_ty), mask=mask)


@tuned(WEIGHT_BLOCKS, ("K", "S", *AUTOTUNE_KEYS, "stride_lw"), fits=WEIGHTS_FIT)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def window_weights_bwd_kernel(
    weights, grad, logits, shared_logits, grad_logits, grad_shared,
    height, width, groups, tune_pixels, tune_images,
    stride_lb, stride_lg, stride_lt, stride_lh, stride_lw, stride_l_sub_h, stride_l_sub_w,
    stride_sb, stride_sg, stride_st, stride_sh, stride_sw,
    stride_wb, stride_wg, stride_wt, stride_wh, stride_ww, stride_w_sub_h, stride_w_sub_w,
    K: tl.constexpr, S: tl.constexpr, TAPS: tl.constexpr, SIGMOID: tl.constexpr, HAS_SHARED: tl.constexpr,
    BLOCK_P: tl.constexpr,
):  # fmt: skip
    """grad_logits[m] = w[m] · (grad[m] − Σ w · grad), times the sigmoid's slope; their sum over the sub-pixels."""
    batch, group = image_tile(groups)
    pixel, tap = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, TAPS)[:, None]
    row, column = (pixel // width)[None, :], (pixel % width)[None, :]
    mask = (tap < K * K) & (row < height)
    offs_w = batch * stride_wb + group.to(tl.int64) * stride_wg
    offs_l = batch * stride_lb + group.to(tl.int64) * stride_lg
    offs_s = batch * stride_sb + group.to(tl.int64) * stride_sg
    w_tile = tap * stride_wt + (row * stride_wh + column * stride_ww)
    l_tile = tap * stride_lt + (row * stride_lh + column * stride_lw)
    s_tile = tap * stride_st + (row * stride_sh + column * stride_sw)
    if HAS_SHARED:
        total = tl.zeros([TAPS, BLOCK_P], tl.float32)
    for sub in range(S * S):
        w_sub = offs_w + (sub // S * stride_w_sub_h + sub % S * stride_w_sub_w)
        l_sub = offs_l + (sub // S * stride_l_sub_h + sub % S * stride_l_sub_w)
        weight = tl.load(weights + w_sub + w_tile, mask=mask, other=0.0).to(tl.float32)
        result = weight * tl.load(grad + w_sub + w_tile, mask=mask, other=0.0).to(tl.float32)
        result = result - weight * tl.sum(result, axis=0, keep_dims=True)
        if SIGMOID:
            value = tl.load(logits + l_sub + l_tile, mask=mask, other=0.0).to(tl.float32)
            if HAS_SHARED:
                value += tl.load(shared_logits + offs_s + s_tile, mask=mask, other=0.0).to(tl.float32)
            value = tl.sigmoid(value)
            result = result * (value * (1.0 - value))
        tl.store(grad_logits + l_sub + l_tile, result.to(grad_logits.dtype.element_ty), mask=mask)
        if HAS_SHARED:
            total += result
    if HAS_SHARED:
        tl.store(grad_shared + offs_s + s_tile, total.to(grad_shared.dtype.element_ty), mask=mask)
