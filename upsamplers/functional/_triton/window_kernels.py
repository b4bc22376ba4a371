"""Kernels for what reads a k x k window of an input pixel for each of the s² output pixels that lie in it.

A program has a run of input pixels of one row, all their s² output pixels, and some channels of one group: a pixel of
the window is read once for s² outputs. Weights are never stored: a pass over the logits finds the largest, the next one
turns each into its weight where it is used, and sums them; the result is divided by that sum. Its logarithm (`lse`) is
what a backward needs to compute a weight from its logit.

Logits are taken before their pixel shuffle or after it; four strides tell where (tap, row and column of a sub-pixel).
`shared_logits` are common to all output pixels of an input pixel. All sums are of float32.
"""

import triton
import triton.language as tl

from upsamplers.functional._triton import launch as _launch
from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import (
    AUTOTUNE_KEYS,
    LOWEST,
    blocks,
    fits_registers,
    has_row,
    row_tile,
    store_outputs,
)

SOFTMAX, SIGMOID_SOFTMAX = tl.constexpr(_launch.SOFTMAX), tl.constexpr(_launch.SIGMOID_SOFTMAX)
PLAIN = tl.constexpr(_launch.PLAIN)
SIZES = ("BLOCK_C", "BLOCK_P")
# More channels a program compute a weight less often, more pixels read longer rows; the last are for large scales.
SUM_BLOCKS = blocks(SIZES, (16, 32, 4), (32, 32, 4), (64, 32, 4), (64, 32, 8), (32, 64, 8), (8, 16, 4), (4, 8, 8))
FEATURE_BLOCKS = blocks(SIZES, (16, 32, 4), (32, 32, 4), (16, 64, 4), (8, 64, 4), (8, 16, 4))
# k² · s² sums a pixel stay in registers: several threads a pixel, since one alone has too few registers.
LOGIT_BLOCKS = blocks(SIZES, (1, 16, 4), (1, 32, 4), (1, 32, 8), (1, 16, 8), (1, 8, 8))
# What decides which blocks are best; sizes by their power of two, so that another image size is not tuned again.
KEYS = ("channels", *AUTOTUNE_KEYS, "K", "S", "MODE", "HAS_SHARED", "stride_xw", "stride_lw")
SUMS_FIT = fits_registers(SUM_BLOCKS, lambda given: given["SUBS"] * given["BLOCK_C"])
COLUMNS_FIT = fits_registers(FEATURE_BLOCKS, lambda given: given["SIDES"] * given["BLOCK_C"])
TAPS_FIT = fits_registers(LOGIT_BLOCKS, lambda given: given["TAPS"] * given["SUBS"])


@triton.jit
def load_logits(l_ptrs, s_ptrs, tap, stride_lt, stride_st, mask, s_mask, HAS_SHARED: tl.constexpr, WIDE: tl.constexpr):
    """The logits of one tap in float32."""
    if WIDE:
        tap = tl.full((), 0, tl.int64) + tap
    value = tl.load(l_ptrs + tap * stride_lt, mask=mask, other=0.0).to(tl.float32)
    if HAS_SHARED:
        value += tl.load(s_ptrs + tap * stride_st, mask=s_mask, other=0.0).to(tl.float32)
    return value


@tuned(SUM_BLOCKS, KEYS, fits=SUMS_FIT)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def window_sum_fwd_kernel(
    x, logits, shared_logits, out, lse,
    channels, height, width, groups, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_lb, stride_lg, stride_lt, stride_lh, stride_lw, stride_l_sub_h, stride_l_sub_w,
    stride_sb, stride_sg, stride_st, stride_sh, stride_sw,
    K: tl.constexpr, S: tl.constexpr, SUBS: tl.constexpr, MODE: tl.constexpr, IN_ROWS: tl.constexpr,
    HAS_SHARED: tl.constexpr, STORE_LSE: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """out[c, s·i + a, s·j + b] = Σ_m w[m, a, b, i, j] · x[c, i + dy, j + dx], w the softmax of the logits over m."""
    batch, group, channel, row, first, column = row_tile(width, groups, WIDE, BLOCK_C, BLOCK_P)
    group = group.to(tl.int64)
    sub = tl.arange(0, SUBS)
    is_pixel, is_channel, is_sub = column < width, channel < channels, sub < S * S
    mask = is_sub[:, None] & is_pixel[None, :]
    logits += batch * stride_lb + group * stride_lg + row * stride_lh
    shared_logits += batch * stride_sb + group * stride_sg + row * stride_sh
    x += batch * stride_xb + group * channels * stride_xc + row * stride_xh
    l_ptrs = logits + ((sub // S * stride_l_sub_h + sub % S * stride_l_sub_w)[:, None] + (column * stride_lw)[None, :])
    s_ptrs = shared_logits + (column * stride_sw)[None, :]

    largest = tl.zeros([SUBS, BLOCK_P], tl.float32)  # sigmoids are at most one: nothing overflows
    if MODE == SOFTMAX:
        largest += LOWEST
        for tap_row in range(K):
            for tap_column in tl.static_range(K):
                value = load_logits(
                    l_ptrs, s_ptrs, tap_row * K + tap_column, stride_lt, stride_st, mask, is_pixel[None, :],
                    HAS_SHARED, WIDE,
                )  # fmt: skip
                largest = tl.maximum(largest, value)

    total = tl.zeros([SUBS, BLOCK_P], tl.float32)
    result = tl.zeros([SUBS, BLOCK_C, BLOCK_P], tl.float32)
    offs_x = channel[:, None] * stride_xc + (column * stride_xw)[None, :]
    for tap_row in range(K):  # the pixels of a row of the window lie side by side, where one address serves all
        down = tap_row - K // 2
        in_image = is_pixel & has_row(row + down, height, column)
        for tap_column in tl.static_range(K):
            right = tap_column - K // 2
            weight = load_logits(
                l_ptrs, s_ptrs, tap_row * K + tap_column, stride_lt, stride_st, mask, is_pixel[None, :],
                HAS_SHARED, WIDE,
            )  # fmt: skip
            if MODE == SIGMOID_SOFTMAX:
                weight = tl.sigmoid(weight)
            if MODE != PLAIN:
                weight = tl.exp(weight - largest)
                total += weight
            inside = in_image & (column + right >= 0) & (column + right < width)
            x_ptrs = x + (offs_x + down * stride_xh) + right * stride_xw
            window = tl.load(x_ptrs, mask=is_channel[:, None] & inside[None, :], other=0.0)
            result += weight[:, None, :] * window.to(tl.float32)[None, :, :]
    if MODE != PLAIN:
        result *= (1.0 / total)[:, None, :]
        if STORE_LSE:
            if tl.program_id(1) == 0:
                cell = tl.program_id(2).to(tl.int64) * (S * S) * height * width + row * width
                lse_ptrs = lse + cell + sub[:, None] * (height * width) + column[None, :]
                tl.store(lse_ptrs, largest + tl.log(total), mask=mask)
    store_outputs(
        out + batch * stride_ob + group * channels * stride_oc, result, row, first, column, channel, channels, width,
        stride_oc, stride_oh, stride_ow, S, SUBS, IN_ROWS, BLOCK_C, BLOCK_P,
    )  # fmt: skip


@tuned(FEATURE_BLOCKS, KEYS, fits=COLUMNS_FIT)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def window_sum_bwd_dx_kernel(
    logits, shared_logits, lse, grad, grad_x,
    channels, height, width, groups, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_lb, stride_lg, stride_lt, stride_lh, stride_lw, stride_l_sub_h, stride_l_sub_w,
    stride_sb, stride_sg, stride_st, stride_sh, stride_sw,
    K: tl.constexpr, S: tl.constexpr, SIDES: tl.constexpr, MODE: tl.constexpr,
    HAS_SHARED: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """grad_x[c, i, j] = Σ of w · grad over the taps and sub-pixels of the output pixels whose window has (i, j).

    A thread sums for one of the s output columns of a pixel, so that gradients are read side by side; the s sums are
    added at the end.
    """
    batch, group, channel, row, first, column = row_tile(width, groups, WIDE, BLOCK_C, BLOCK_P)
    group = group.to(tl.int64)
    is_pixel, is_channel = column < width, channel < channels
    pixel = first + tl.arange(0, BLOCK_P * SIDES) // SIDES
    sub = tl.arange(0, BLOCK_P * SIDES) % SIDES
    out_column = first * S + tl.arange(0, BLOCK_P * SIDES) if SIDES == S else pixel * S + sub
    is_out = (pixel < width) & (sub < S)
    logits += batch * stride_lb + group * stride_lg
    shared_logits += batch * stride_sb + group * stride_sg
    lse += tl.program_id(2).to(tl.int64) * (S * S) * height * width
    grad += batch * stride_ob + group * channels * stride_oc
    offs_g = channel[:, None] * stride_oc + (out_column * stride_ow)[None, :]
    offs_l, offs_s = sub * stride_l_sub_w + pixel * stride_lw, pixel * stride_sw
    offs_lse = sub * (height * width) + pixel

    result = tl.zeros([BLOCK_C, BLOCK_P * SIDES], tl.float32)
    for step in range(K * S):  # a row of the window and a row of sub-pixels; columns have one address
        tap_row, sub_row = step // S, step % S
        seen_row = row - (tap_row - K // 2)
        in_image = is_out & has_row(seen_row, height, pixel)
        for tap_column in tl.static_range(K):
            left = K // 2 - tap_column
            mask = in_image & (pixel + left >= 0) & (pixel + left < width)
            weight = load_logits(
                logits + seen_row * stride_lh + sub_row * stride_l_sub_h + (offs_l + left * stride_lw),
                shared_logits + seen_row * stride_sh + (offs_s + left * stride_sw),
                tap_row * K + tap_column, stride_lt, stride_st, mask, mask, HAS_SHARED, WIDE,
            )  # fmt: skip
            if MODE == SIGMOID_SOFTMAX:
                weight = tl.sigmoid(weight)
            if MODE != PLAIN:
                lse_row = lse + sub_row * S * height * width + seen_row * width
                weight = tl.exp(weight - tl.load(lse_row + offs_lse + left, mask=mask, other=0.0))
            g_ptrs = grad + (seen_row * S + sub_row) * stride_oh + offs_g + left * S * stride_ow
            gradient = tl.load(g_ptrs, mask=is_channel[:, None] & mask[None, :], other=0.0)
            result += weight[None, :] * gradient.to(tl.float32)

    total = tl.sum(tl.reshape(result, (BLOCK_C, BLOCK_P, SIDES)), axis=2)
    offs_x = channel[:, None] * stride_xc + (column * stride_xw)[None, :]
    tl.store(
        grad_x + batch * stride_xb + group * channels * stride_xc + row * stride_xh + offs_x,
        total.to(grad_x.dtype.element_ty), mask=is_channel[:, None] & is_pixel[None, :],
    )  # fmt: skip


@tuned(LOGIT_BLOCKS, KEYS, fits=TAPS_FIT)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def window_sum_bwd_dlogits_kernel(
    x, logits, shared_logits, lse, grad, grad_logits, grad_shared,
    channels, height, width, groups, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_lb, stride_lg, stride_lt, stride_lh, stride_lw, stride_l_sub_h, stride_l_sub_w,
    stride_sb, stride_sg, stride_st, stride_sh, stride_sw,
    K: tl.constexpr, S: tl.constexpr, TAPS: tl.constexpr, SUBS: tl.constexpr, MODE: tl.constexpr,
    HAS_SHARED: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """grad_logit[m] = w[m] · (d[m] − Σ w·d) with d[m] = Σ_c x[c, i + dy, j + dx] · grad[c]; of plain weights d[m]."""
    batch, group, _, row, _, column = row_tile(width, groups, WIDE, BLOCK_C, BLOCK_P)
    group = group.to(tl.int64)
    tap, sub = tl.arange(0, TAPS), tl.arange(0, SUBS)
    if WIDE:
        tap = tap.to(tl.int64)
    is_pixel, is_sub, is_tap = column < width, sub < S * S, tap < K * K
    is_out = is_sub[:, None] & is_pixel[None, :]
    down = row + (tap // K - K // 2)
    across = column[None, :] + (tap % K - K // 2)[:, None]
    in_image = (is_tap & (down >= 0) & (down < height))[:, None] & (across >= 0) & (across < width) & is_pixel[None, :]
    offs_x = (down * stride_xh)[:, None] + across * stride_xw
    offs_g = ((row * S + sub // S) * stride_oh)[:, None]
    offs_g = offs_g + ((column * S)[None, :] + (sub % S)[:, None]) * stride_ow
    x += batch * stride_xb + group * channels * stride_xc
    grad += batch * stride_ob + group * channels * stride_oc

    result = tl.zeros([TAPS, SUBS, BLOCK_P], tl.float32)
    window = tl.load(x + offs_x, mask=in_image, other=0.0)
    gradient = tl.load(grad + offs_g, mask=is_out, other=0.0)
    for _ in range(1, channels):  # the next channel is loaded while one is multiplied
        x += stride_xc
        grad += stride_oc
        next_window = tl.load(x + offs_x, mask=in_image, other=0.0)
        next_gradient = tl.load(grad + offs_g, mask=is_out, other=0.0)
        result += window.to(tl.float32)[:, None, :] * gradient.to(tl.float32)[None, :, :]
        window, gradient = next_window, next_gradient
    result += window.to(tl.float32)[:, None, :] * gradient.to(tl.float32)[None, :, :]

    mask = is_tap[:, None, None] & is_out[None, :, :]
    s_mask = is_tap[:, None] & is_pixel[None, :]
    offs_l = tap[:, None, None] * stride_lt
    offs_l = offs_l + (sub // S * stride_l_sub_h + sub % S * stride_l_sub_w)[None, :, None]
    offs_l = offs_l + (column * stride_lw)[None, None, :]
    offs_s = tap[:, None] * stride_st + (column * stride_sw)[None, :]
    first_l = batch * stride_lb + group * stride_lg + row * stride_lh
    first_s = batch * stride_sb + group * stride_sg + row * stride_sh
    if MODE != PLAIN:
        value = tl.load(logits + first_l + offs_l, mask=mask, other=0.0).to(tl.float32)
        if HAS_SHARED:
            shared = tl.load(shared_logits + first_s + offs_s, mask=s_mask, other=0.0)
            value += shared.to(tl.float32)[:, None, :]
        slope = 1.0
        if MODE == SIGMOID_SOFTMAX:
            value = tl.sigmoid(value)
            slope = value * (1.0 - value)
        cell = tl.program_id(2).to(tl.int64) * (S * S) * height * width + row * width
        sums = tl.load(lse + cell + sub[:, None] * (height * width) + column[None, :], mask=is_out, other=0.0)
        weight = tl.where(mask, tl.exp(value - sums[None, :, :]), 0.0)
        middle = tl.sum(weight * result, axis=0)
        result = weight * (result - middle[None, :, :]) * slope
    tl.store(grad_logits + first_l + offs_l, result.to(grad_logits.dtype.element_ty), mask=mask)
    if HAS_SHARED:
        shared = tl.sum(tl.where(is_sub[None, :, None], result, 0.0), axis=1)
        tl.store(grad_shared + first_s + offs_s, shared.to(grad_shared.dtype.element_ty), mask=s_mask)
