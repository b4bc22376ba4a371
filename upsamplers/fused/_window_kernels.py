"""Kernels for what reads a k x k window of an input pixel for each of the s² output pixels that lie in it.

A program has a block of input pixels, all their s² output pixels, and some channels of one group: a pixel of the window
is read once for s² outputs. Weights are never stored: a pass over the logits finds the largest, the next one turns each
into its weight where it is used, and sums them; what is left divides by that sum. Its logarithm (`lse`) is what a
backward needs to find a weight from its logit.

Logits lie before their pixel shuffle or after it; four strides tell where (tap, row in the cell, column in the cell).
All sums are of float32.
"""

import triton
import triton.language as tl

from upsamplers.fused._launch import tuned

# Below every logit, and finite: minus infinity has no difference to itself.
LEAST = tl.constexpr(-3.0e38)
# What decides which blocks are best; sizes by their power of two, so that another image size is not tuned anew.
SHAPE = ("channels", "size", "images", "K", "S", "MODE", "HAS_OWN", "x_column", "logit_column")
# Each thread keeps its output in registers: 16 to 64 sums for s = 2. More channels a program find a weight less often,
# more pixels read longer rows.
SUM_BLOCKS = [
    triton.Config({"BLOCK_C": channels, "BLOCK_P": pixels}, num_warps=warps)
    for channels, pixels, warps in ((16, 32, 4), (32, 32, 4), (64, 32, 4), (64, 32, 8), (32, 64, 8))
]
FEATURE_BLOCKS = [
    triton.Config({"BLOCK_C": channels, "BLOCK_P": pixels}, num_warps=warps)
    for channels, pixels, warps in ((16, 64, 4), (32, 64, 4), (16, 32, 4), (8, 128, 4))
]
# k² · s² sums a pixel stay in registers: several threads a pixel, for a pixel a thread leaves too few registers.
LOGIT_BLOCKS = [
    triton.Config({"BLOCK_P": pixels}, num_warps=warps)
    for pixels, warps in ((16, 4), (32, 4), (32, 8), (16, 8), (8, 8))
]


@triton.jit
def raw_logit(
    logits, own, place, own_place, tap, tap_stride, own_tap_stride, mask, own_mask,
    HAS_OWN: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """The logits of one tap in float32; `own` is what all output pixels of an input pixel share."""
    if WIDE:
        tap = tl.full((), 0, tl.int64) + tap
    value = tl.load(logits + place + tap * tap_stride, mask=mask, other=0.0).to(tl.float32)
    if HAS_OWN:
        value += tl.load(own + own_place + tap * own_tap_stride, mask=own_mask, other=0.0).to(tl.float32)
    return value


@tuned(SUM_BLOCKS, SHAPE)
@triton.jit
def window_sum(
    x, logits, own, out, lse,
    channels, height, width, groups, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    logit_batch, logit_group, logit_tap, logit_row, logit_column, logit_sub_row, logit_sub_column,
    own_batch, own_group, own_tap, own_row, own_column,
    K: tl.constexpr, S: tl.constexpr, SUBS: tl.constexpr, MODE: tl.constexpr,
    HAS_OWN: tl.constexpr, STORE_LSE: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """out[c, s·i + a, s·j + b] = Σ_m w[m, a, b, i, j] · x[c, i + dy, j + dx], w the softmax of the logits over m."""
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = (tl.program_id(2) // groups).to(tl.int64)
    group = tl.program_id(2) % groups
    sub = tl.arange(0, SUBS)
    row, column = pixel // width, pixel % width
    is_pixel, is_channel, is_sub = pixel < height * width, channel < channels, sub < S * S
    if WIDE:
        row, column, channel, group = row.to(tl.int64), column.to(tl.int64), channel.to(tl.int64), group.to(tl.int64)
    mask = is_sub[:, None] & is_pixel[None, :]
    place = (sub // S * logit_sub_row + sub % S * logit_sub_column)[:, None]
    place = place + (group * logit_group + row * logit_row + column * logit_column)[None, :]
    own_place = (group * own_group + row * own_row + column * own_column)[None, :]
    logits += batch * logit_batch
    own += batch * own_batch
    x += batch * x_batch

    biggest = tl.zeros([SUBS, BLOCK_P], tl.float32)  # of sigmoids none is large
    if MODE == 0:
        biggest += LEAST
        for line in range(K):
            for side in tl.static_range(K):
                value = raw_logit(
                    logits, own, place, own_place, line * K + side, logit_tap, own_tap, mask, is_pixel[None, :],
                    HAS_OWN, WIDE,
                )  # fmt: skip
                biggest = tl.maximum(biggest, value)

    total = tl.zeros([SUBS, BLOCK_P], tl.float32)
    result = tl.zeros([SUBS, BLOCK_C, BLOCK_P], tl.float32)
    here = (group * channels + channel)[:, None] * x_channel + (row * x_row + column * x_column)[None, :]
    for line in range(K):  # of the window; its pixels lie side by side, where one address serves all
        down = line - K // 2
        seen = is_pixel & (row + down >= 0) & (row + down < height)
        for side in tl.static_range(K):
            value = raw_logit(
                logits, own, place, own_place, line * K + side, logit_tap, own_tap, mask, is_pixel[None, :], HAS_OWN,
                WIDE,
            )  # fmt: skip
            if MODE == 1:
                value = tl.sigmoid(value)
            if MODE != 2:
                value = tl.exp(value - biggest)
                total += value
            inside = seen & (column + (side - K // 2) >= 0) & (column + (side - K // 2) < width)
            inside = is_channel[:, None] & inside[None, :]
            window = tl.load(x + (here + down * x_row) + (side - K // 2) * x_column, mask=inside, other=0.0)
            result += value[:, None, :] * window.to(tl.float32)[None, :, :]
    if MODE != 2:
        result *= (1.0 / total)[:, None, :]
        if STORE_LSE:
            if tl.program_id(1) == 0:
                cell = tl.program_id(2).to(tl.int64) * (S * S) * height * width
                tl.store(
                    lse + cell + sub[:, None] * (height * width) + pixel[None, :], biggest + tl.log(total), mask=mask
                )

    where = (group * channels + channel)[None, :, None] * out_channel
    where = where + ((row * S)[None, :] + (sub // S)[:, None])[:, None, :] * out_row
    where = where + ((column * S)[None, :] + (sub % S)[:, None])[:, None, :] * out_column
    tl.store(
        out + batch * out_batch + where, result.to(out.dtype.element_ty),
        mask=mask[:, None, :] & is_channel[None, :, None],
    )  # fmt: skip


@tuned(FEATURE_BLOCKS, SHAPE)
@triton.jit
def window_sum_features_backward(
    logits, own, lse, grad, grad_x,
    channels, height, width, groups, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    logit_batch, logit_group, logit_tap, logit_row, logit_column, logit_sub_row, logit_sub_column,
    own_batch, own_group, own_tap, own_row, own_column,
    K: tl.constexpr, S: tl.constexpr, MODE: tl.constexpr, HAS_OWN: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """grad_x[c, i, j] = Σ over taps and sub-pixels of w · grad at the output pixels whose window sees (i, j)."""
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = (tl.program_id(2) // groups).to(tl.int64)
    group = tl.program_id(2) % groups
    row, column = pixel // width, pixel % width
    is_pixel, is_channel = pixel < height * width, channel < channels
    if WIDE:
        row, column, channel, group = row.to(tl.int64), column.to(tl.int64), channel.to(tl.int64), group.to(tl.int64)
    logits += batch * logit_batch + group * logit_group
    own += batch * own_batch + group * own_group
    lse += tl.program_id(2).to(tl.int64) * (S * S) * height * width
    grad += batch * out_batch
    own_channel = group * channels + channel

    result = tl.zeros([BLOCK_C, BLOCK_P], tl.float32)
    there = own_channel[:, None] * out_channel + (column * S * out_column)[None, :]
    for step in range(K * S):  # a line of the window and a row of the cell; what is beside it has one address
        line, sub_row = step // S, step % S
        up = row - (line - K // 2)
        seen = is_pixel & (up >= 0) & (up < height)
        place = sub_row * logit_sub_row + up * logit_row + column * logit_column
        own_place = up * own_row + column * own_column
        sums_place = sub_row * S * height * width + up * width + column
        found_place = there + ((up * S + sub_row) * out_row)[None, :]
        for side in tl.static_range(K):
            left = K // 2 - side
            sees = seen & (column + left >= 0) & (column + left < width)
            for sub_column in tl.static_range(S):
                value = raw_logit(
                    logits, own, place + (sub_column * logit_sub_column + left * logit_column),
                    own_place + left * own_column, line * K + side, logit_tap, own_tap, sees, sees, HAS_OWN, WIDE,
                )  # fmt: skip
                if MODE == 1:
                    value = tl.sigmoid(value)
                if MODE != 2:
                    sums = tl.load(lse + sums_place + (sub_column * height * width + left), mask=sees, other=0.0)
                    value = tl.exp(value - sums)
                found = tl.load(
                    grad + found_place + (left * S + sub_column) * out_column,
                    mask=is_channel[:, None] & sees[None, :], other=0.0,
                )  # fmt: skip
                result += value[None, :] * found.to(tl.float32)

    where = own_channel[:, None] * x_channel + (row * x_row + column * x_column)[None, :]
    tl.store(
        grad_x + batch * x_batch + where, result.to(grad_x.dtype.element_ty),
        mask=is_channel[:, None] & is_pixel[None, :],
    )  # fmt: skip


@tuned(LOGIT_BLOCKS, SHAPE)
@triton.jit
def window_sum_logits_backward(
    x, logits, own, lse, grad, grad_logits, grad_own,
    channels, height, width, groups, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    logit_batch, logit_group, logit_tap, logit_row, logit_column, logit_sub_row, logit_sub_column,
    own_batch, own_group, own_tap, own_row, own_column,
    K: tl.constexpr, S: tl.constexpr, TAPS: tl.constexpr, SUBS: tl.constexpr, MODE: tl.constexpr,
    HAS_OWN: tl.constexpr, WIDE: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """grad_logit[m] = w[m] · (d[m] − Σ w·d) with d[m] = Σ_c x[c, i + dy, j + dx] · grad[c]; plain weights take d."""
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    batch = (tl.program_id(1) // groups).to(tl.int64)
    group = tl.program_id(1) % groups
    tap, sub = tl.arange(0, TAPS), tl.arange(0, SUBS)
    row, column = pixel // width, pixel % width
    if WIDE:
        tap = tap.to(tl.int64)
        row, column, group = row.to(tl.int64), column.to(tl.int64), group.to(tl.int64)
    is_pixel, is_sub, is_tap = pixel < height * width, sub < S * S, tap < K * K
    is_out = is_sub[:, None] & is_pixel[None, :]
    down = row[None, :] + (tap // K - K // 2)[:, None]
    across = column[None, :] + (tap % K - K // 2)[:, None]
    seen = (down >= 0) & (down < height) & (across >= 0) & (across < width)
    seen = seen & is_tap[:, None] & is_pixel[None, :]
    window_place = down * x_row + across * x_column
    out_place = (row[None, :] * S + (sub // S)[:, None]) * out_row
    out_place = out_place + (column[None, :] * S + (sub % S)[:, None]) * out_column
    x += batch * x_batch + group.to(tl.int64) * channels * x_channel
    grad += batch * out_batch + group.to(tl.int64) * channels * out_channel

    result = tl.zeros([TAPS, SUBS, BLOCK_P], tl.float32)
    window, found = tl.load(x + window_place, mask=seen, other=0.0), tl.load(grad + out_place, mask=is_out, other=0.0)
    for channel in range(channels):  # while one is multiplied, the next one is on its way
        x += x_channel
        grad += out_channel
        more = channel + 1 < channels
        next_window = tl.load(x + window_place, mask=seen & more, other=0.0)
        next_found = tl.load(grad + out_place, mask=is_out & more, other=0.0)
        result += window.to(tl.float32)[:, None, :] * found.to(tl.float32)[None, :, :]
        window, found = next_window, next_found

    whole = is_tap[:, None, None] & is_out[None, :, :]
    place = tap[:, None, None] * logit_tap
    place = place + (sub // S * logit_sub_row + sub % S * logit_sub_column)[None, :, None]
    place = place + (group * logit_group + row * logit_row + column * logit_column)[None, None, :]
    own_place = tap[:, None] * own_tap + (group * own_group + row * own_row + column * own_column)[None, :]
    if MODE != 2:
        value = tl.load(logits + batch * logit_batch + place, mask=whole, other=0.0).to(tl.float32)
        if HAS_OWN:
            shared = tl.load(
                own + batch * own_batch + own_place, mask=is_tap[:, None] & is_pixel[None, :], other=0.0
            ).to(tl.float32)
            value += shared[:, None, :]
        slope = 1.0
        if MODE == 1:
            value = tl.sigmoid(value)
            slope = value * (1.0 - value)
        cell = tl.program_id(1).to(tl.int64) * (S * S) * height * width
        sums = tl.load(lse + cell + sub[:, None] * (height * width) + pixel[None, :], mask=is_out, other=0.0)
        weight = tl.where(whole, tl.exp(value - sums[None, :, :]), 0.0)
        middle = tl.sum(weight * result, axis=0)
        result = weight * (result - middle[None, :, :]) * slope
    tl.store(grad_logits + batch * logit_batch + place, result.to(grad_logits.dtype.element_ty), mask=whole)
    if HAS_OWN:
        shared = tl.sum(tl.where(is_sub[None, :, None], result, 0.0), axis=1)
        tl.store(
            grad_own + batch * own_batch + own_place, shared.to(grad_own.dtype.element_ty),
            mask=is_tap[:, None] & is_pixel[None, :],
        )  # fmt: skip
