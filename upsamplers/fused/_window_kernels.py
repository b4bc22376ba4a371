"""Kernels for what reads a k x k window of an input pixel for each of the s² output pixels that lie in it.

A program has a run of input pixels of one row, all their s² output pixels, and some channels of one group: a pixel of
the window is read once for s² outputs. Weights are never stored: a pass over the logits finds the largest, the next one
turns each into its weight where it is used, and sums them; what is left divides by that sum. Its logarithm (`lse`) is
what a backward needs to find a weight from its logit.

Logits lie before their pixel shuffle or after it; four strides tell where (tap, row in the cell, column in the cell).
All sums are of float32.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.fused._launch import tuned
from upsamplers.fused._row_kernels import KINDS, LEAST, fits, has_row, run_of_pixels, store_outputs, tiles

# What decides which blocks are best; sizes by their power of two, so that another image size is not tuned anew.
SHAPE = ("channels", "size", "images", "K", "S", "MODE", "HAS_OWN", "x_column", "logit_column")
# More channels a program find a weight less often, more pixels read longer rows; the last are for large scales.
SUM_BLOCKS = tiles((16, 32, 4), (32, 32, 4), (64, 32, 4), (64, 32, 8), (32, 64, 8), (8, 16, 4), (4, 8, 8))
FEATURE_BLOCKS = tiles((16, 32, 4), (32, 32, 4), (16, 64, 4), (8, 64, 4), (8, 16, 4))
# k² · s² sums a pixel stay in registers: several threads a pixel, for a pixel a thread leaves too few registers.
LOGIT_BLOCKS = tiles((1, 16, 4), (1, 32, 4), (1, 32, 8), (1, 16, 8), (1, 8, 8))


def few_sums(config: Any, given: Mapping[str, Any]) -> bool:
    """Whether a thread's sums stay in its registers."""
    return fits(config, given["SUBS"] * config.kwargs["BLOCK_C"], SUM_BLOCKS)


def few_columns(config: Any, given: Mapping[str, Any]) -> bool:
    """The same of sums for the output columns of a pixel."""
    return fits(config, given["SIDES"] * config.kwargs["BLOCK_C"], FEATURE_BLOCKS)


def few_taps(config: Any, given: Mapping[str, Any]) -> bool:
    """The same of sums for the taps of a pixel's outputs."""
    return fits(config, given["TAPS"] * given["SUBS"], LOGIT_BLOCKS)


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


@tuned(SUM_BLOCKS, SHAPE, suits=few_sums)
@triton.jit(do_not_specialize=KINDS)
def window_sum(
    x, logits, own, out, lse,
    channels, height, width, groups, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    logit_batch, logit_group, logit_tap, logit_row, logit_column, logit_sub_row, logit_sub_column,
    own_batch, own_group, own_tap, own_row, own_column,
    K: tl.constexpr, S: tl.constexpr, SUBS: tl.constexpr, MODE: tl.constexpr, IN_ROWS: tl.constexpr,
    HAS_OWN: tl.constexpr, STORE_LSE: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """out[c, s·i + a, s·j + b] = Σ_m w[m, a, b, i, j] · x[c, i + dy, j + dx], w the softmax of the logits over m."""
    row, first, column = run_of_pixels(width, WIDE, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = (tl.program_id(2) // groups).to(tl.int64)
    group = (tl.program_id(2) % groups).to(tl.int64)
    sub = tl.arange(0, SUBS)
    is_pixel, is_channel, is_sub = column < width, channel < channels, sub < S * S
    if WIDE:
        channel = channel.to(tl.int64)
    mask = is_sub[:, None] & is_pixel[None, :]
    place = (sub // S * logit_sub_row + sub % S * logit_sub_column)[:, None] + (column * logit_column)[None, :]
    own_place = (column * own_column)[None, :]
    logits += batch * logit_batch + group * logit_group + row * logit_row
    own += batch * own_batch + group * own_group + row * own_row
    x += batch * x_batch + group * channels * x_channel + row * x_row

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
    here = channel[:, None] * x_channel + (column * x_column)[None, :]
    for line in range(K):  # of the window; its pixels lie side by side, where one address serves all
        down = line - K // 2
        seen = is_pixel & has_row(row + down, height, column)
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
                cell = tl.program_id(2).to(tl.int64) * (S * S) * height * width + row * width
                tl.store(
                    lse + cell + sub[:, None] * (height * width) + column[None, :], biggest + tl.log(total), mask=mask
                )
    store_outputs(
        out + batch * out_batch + group * channels * out_channel, result, row, first, column, channel, channels, width,
        out_channel, out_row, out_column, S, SUBS, IN_ROWS, BLOCK_C, BLOCK_P,
    )  # fmt: skip


@tuned(FEATURE_BLOCKS, SHAPE, suits=few_columns)
@triton.jit(do_not_specialize=KINDS)
def window_sum_features_backward(
    logits, own, lse, grad, grad_x,
    channels, height, width, groups, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    logit_batch, logit_group, logit_tap, logit_row, logit_column, logit_sub_row, logit_sub_column,
    own_batch, own_group, own_tap, own_row, own_column,
    K: tl.constexpr, S: tl.constexpr, SIDES: tl.constexpr, MODE: tl.constexpr,
    HAS_OWN: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """grad_x[c, i, j] = Σ over taps and sub-pixels of w · grad at the output pixels whose window sees (i, j).

    A thread sums for one of the s output columns of a pixel, so that gradients are read side by side; the s sums
    become one at the end.
    """
    row, first, column = run_of_pixels(width, WIDE, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = (tl.program_id(2) // groups).to(tl.int64)
    group = (tl.program_id(2) % groups).to(tl.int64)
    is_pixel, is_channel = column < width, channel < channels
    if WIDE:
        channel = channel.to(tl.int64)
    pixel = first + tl.arange(0, BLOCK_P * SIDES) // SIDES
    sub = tl.arange(0, BLOCK_P * SIDES) % SIDES
    across = first * S + tl.arange(0, BLOCK_P * SIDES) if SIDES == S else pixel * S + sub
    is_out = (pixel < width) & (sub < S)
    logits += batch * logit_batch + group * logit_group
    own += batch * own_batch + group * own_group
    lse += tl.program_id(2).to(tl.int64) * (S * S) * height * width
    grad += batch * out_batch + group * channels * out_channel
    there = channel[:, None] * out_channel + (across * out_column)[None, :]
    place, own_place = sub * logit_sub_column + pixel * logit_column, pixel * own_column
    sums_place = sub * (height * width) + pixel

    result = tl.zeros([BLOCK_C, BLOCK_P * SIDES], tl.float32)
    for step in range(K * S):  # a line of the window and a row of the cell; what is beside it has one address
        line, sub_row = step // S, step % S
        up = row - (line - K // 2)
        seen = is_out & has_row(up, height, pixel)
        for side in tl.static_range(K):
            left = K // 2 - side
            sees = seen & (pixel + left >= 0) & (pixel + left < width)
            value = raw_logit(
                logits + up * logit_row + sub_row * logit_sub_row, own + up * own_row,
                place + left * logit_column, own_place + left * own_column,
                line * K + side, logit_tap, own_tap, sees, sees, HAS_OWN, WIDE,
            )  # fmt: skip
            if MODE == 1:
                value = tl.sigmoid(value)
            if MODE != 2:
                sums = lse + sub_row * S * height * width + up * width
                value = tl.exp(value - tl.load(sums + sums_place + left, mask=sees, other=0.0))
            found = tl.load(
                grad + (up * S + sub_row) * out_row + there + left * S * out_column,
                mask=is_channel[:, None] & sees[None, :], other=0.0,
            )  # fmt: skip
            result += value[None, :] * found.to(tl.float32)

    total = tl.sum(tl.reshape(result, (BLOCK_C, BLOCK_P, SIDES)), axis=2)
    where = channel[:, None] * x_channel + (column * x_column)[None, :]
    tl.store(
        grad_x + batch * x_batch + group * channels * x_channel + row * x_row + where,
        total.to(grad_x.dtype.element_ty), mask=is_channel[:, None] & is_pixel[None, :],
    )  # fmt: skip


@tuned(LOGIT_BLOCKS, SHAPE, suits=few_taps)
@triton.jit(do_not_specialize=KINDS)
def window_sum_logits_backward(
    x, logits, own, lse, grad, grad_logits, grad_own,
    channels, height, width, groups, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    logit_batch, logit_group, logit_tap, logit_row, logit_column, logit_sub_row, logit_sub_column,
    own_batch, own_group, own_tap, own_row, own_column,
    K: tl.constexpr, S: tl.constexpr, TAPS: tl.constexpr, SUBS: tl.constexpr, MODE: tl.constexpr,
    HAS_OWN: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """grad_logit[m] = w[m] · (d[m] − Σ w·d) with d[m] = Σ_c x[c, i + dy, j + dx] · grad[c]; plain weights take d."""
    row, _, column = run_of_pixels(width, WIDE, BLOCK_P)
    batch = (tl.program_id(1) // groups).to(tl.int64)
    group = (tl.program_id(1) % groups).to(tl.int64)
    tap, sub = tl.arange(0, TAPS), tl.arange(0, SUBS)
    if WIDE:
        tap = tap.to(tl.int64)
    is_pixel, is_sub, is_tap = column < width, sub < S * S, tap < K * K
    is_out = is_sub[:, None] & is_pixel[None, :]
    down = row + (tap // K - K // 2)
    across = column[None, :] + (tap % K - K // 2)[:, None]
    seen = (is_tap & (down >= 0) & (down < height))[:, None] & (across >= 0) & (across < width) & is_pixel[None, :]
    window_place = (down * x_row)[:, None] + across * x_column
    out_place = ((row * S + sub // S) * out_row)[:, None]
    out_place = out_place + ((column * S)[None, :] + (sub % S)[:, None]) * out_column
    x += batch * x_batch + group * channels * x_channel
    grad += batch * out_batch + group * channels * out_channel

    result = tl.zeros([TAPS, SUBS, BLOCK_P], tl.float32)
    window, found = tl.load(x + window_place, mask=seen, other=0.0), tl.load(grad + out_place, mask=is_out, other=0.0)
    for _ in range(1, channels):  # while one is multiplied, the next one is on its way
        x += x_channel
        grad += out_channel
        next_window = tl.load(x + window_place, mask=seen, other=0.0)
        next_found = tl.load(grad + out_place, mask=is_out, other=0.0)
        result += window.to(tl.float32)[:, None, :] * found.to(tl.float32)[None, :, :]
        window, found = next_window, next_found
    result += window.to(tl.float32)[:, None, :] * found.to(tl.float32)[None, :, :]

    whole = is_tap[:, None, None] & is_out[None, :, :]
    place = tap[:, None, None] * logit_tap
    place = place + (sub // S * logit_sub_row + sub % S * logit_sub_column)[None, :, None]
    place = place + (column * logit_column)[None, None, :]
    own_place = tap[:, None] * own_tap + (column * own_column)[None, :]
    start = batch * logit_batch + group * logit_group + row * logit_row
    own_start = batch * own_batch + group * own_group + row * own_row
    if MODE != 2:
        value = tl.load(logits + start + place, mask=whole, other=0.0).to(tl.float32)
        if HAS_OWN:
            shared = tl.load(own + own_start + own_place, mask=is_tap[:, None] & is_pixel[None, :], other=0.0)
            value += shared.to(tl.float32)[:, None, :]
        slope = 1.0
        if MODE == 1:
            value = tl.sigmoid(value)
            slope = value * (1.0 - value)
        cell = tl.program_id(1).to(tl.int64) * (S * S) * height * width + row * width
        sums = tl.load(lse + cell + sub[:, None] * (height * width) + column[None, :], mask=is_out, other=0.0)
        weight = tl.where(whole, tl.exp(value - sums[None, :, :]), 0.0)
        middle = tl.sum(weight * result, axis=0)
        result = weight * (result - middle[None, :, :]) * slope
    tl.store(grad_logits + start + place, result.to(grad_logits.dtype.element_ty), mask=whole)
    if HAS_OWN:
        shared = tl.sum(tl.where(is_sub[None, :, None], result, 0.0), axis=1)
        tl.store(
            grad_own + own_start + own_place, shared.to(grad_own.dtype.element_ty),
            mask=is_tap[:, None] & is_pixel[None, :],
        )  # fmt: skip
