"""The kernel that goes from queries and keys to the reassembled feature, without logits or weights in memory."""

import triton
import triton.language as tl

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

# Queries stay in registers beside the sums; the last are for large scales and many dimensions.
BLOCKS = blocks(
    ("BLOCK_C", "BLOCK_P"), (16, 32, 4), (32, 32, 4), (64, 32, 8), (32, 16, 8), (8, 16, 4), (8, 8, 8)
)  # fmt: skip
KEYS = ("channels", "depth", *AUTOTUNE_KEYS, "K", "S", "stride_xw")
FITS = fits_registers(BLOCKS, lambda given: given["SUBS"] * (given["BLOCK_C"] + given["DIM"]))


@triton.jit
def load_queries(
    query, row, first, column, dim, depth, width, stride_qc, stride_qh, stride_qw,
    S: tl.constexpr, SUBS: tl.constexpr, IN_ROWS: tl.constexpr, DIM: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The queries of all output pixels, (DIM, SUBS, P); where rows are contiguous, a row is read side by side."""
    if IN_ROWS and SUBS == S * S and S > 1:
        out_column = first * S + tl.arange(0, BLOCK_P * S)
        offs_q = dim[:, None, None] * stride_qc + ((row * S + tl.arange(0, S)) * stride_qh)[None, :, None]
        offs_q = offs_q + (out_column * stride_qw)[None, None, :]
        mask = (dim < depth)[:, None, None] & (out_column < width * S)[None, None, :]
        loaded = tl.load(query + offs_q, mask=mask, other=0.0)
        loaded = tl.permute(tl.reshape(loaded, (DIM, S, BLOCK_P, S)), (0, 1, 3, 2))
        return tl.reshape(loaded, (DIM, SUBS, BLOCK_P)).to(tl.float32)
    sub = tl.arange(0, SUBS)
    mask = (sub < S * S)[:, None] & (column < width)[None, :]
    offs_q = ((row * S + sub // S) * stride_qh)[:, None] + ((column * S)[None, :] + (sub % S)[:, None]) * stride_qw
    offs_q = dim[:, None, None] * stride_qc + offs_q[None, :, :]
    return tl.load(query + offs_q, mask=(dim < depth)[:, None, None] & mask[None, :, :], other=0.0).to(tl.float32)


@tuned(BLOCKS, KEYS, fits=FITS)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def affinity_sum_fwd_kernel(
    x, query, key, out, lse,
    channels, depth, height, width, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_qb, stride_qc, stride_qh, stride_qw,
    stride_kb, stride_kc, stride_kh, stride_kw,
    K: tl.constexpr, S: tl.constexpr, SUBS: tl.constexpr, DIM: tl.constexpr, IN_ROWS: tl.constexpr,
    STORE_LSE: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """As window_sum_fwd_kernel, with products of queries (D, sH, sW) and keys (D, H, W) of the window as logits.

    Each logit is computed once: the running sums are rescaled whenever a larger one is met (an online softmax).
    """
    batch, _, channel, row, first, column = row_tile(width, 1, WIDE, BLOCK_C, BLOCK_P)
    sub, dim = tl.arange(0, SUBS), tl.arange(0, DIM)
    is_pixel, is_channel, is_sub = column < width, channel < channels, sub < S * S
    if WIDE:
        dim = dim.to(tl.int64)
    queries = load_queries(
        query + batch * stride_qb, row, first, column, dim, depth, width, stride_qc, stride_qh, stride_qw,
        S, SUBS, IN_ROWS, DIM, BLOCK_P,
    )  # fmt: skip
    key += batch * stride_kb + row * stride_kh
    x += batch * stride_xb + row * stride_xh

    total = tl.zeros([SUBS, BLOCK_P], tl.float32)
    largest = tl.full([SUBS, BLOCK_P], LOWEST, tl.float32)
    result = tl.zeros([SUBS, BLOCK_C, BLOCK_P], tl.float32)
    offs_x = channel[:, None] * stride_xc + (column * stride_xw)[None, :]
    offs_k = dim[:, None] * stride_kc + (column * stride_kw)[None, :]
    for tap_row in range(K):  # the pixels of a row of the window lie side by side, where one address serves all
        down = tap_row - K // 2
        in_image = is_pixel & has_row(row + down, height, column)
        for tap_column in tl.static_range(K):
            right = tap_column - K // 2
            mask = (in_image & (column + right >= 0) & (column + right < width))[None, :]
            k_ptrs = key + (offs_k + down * stride_kh) + right * stride_kw
            keys = tl.load(k_ptrs, mask=(dim < depth)[:, None] & mask, other=0.0).to(tl.float32)
            logit = tl.sum(queries * keys[:, None, :], axis=0)  # a key outside the image is zero
            larger = tl.maximum(largest, logit)
            shrink, weight = tl.exp(largest - larger), tl.exp(logit - larger)
            total, largest = total * shrink + weight, larger
            x_ptrs = x + (offs_x + down * stride_xh) + right * stride_xw
            window = tl.load(x_ptrs, mask=is_channel[:, None] & mask, other=0.0).to(tl.float32)
            result = result * shrink[:, None, :] + weight[:, None, :] * window[None, :, :]
    result *= (1.0 / total)[:, None, :]
    if STORE_LSE:
        if tl.program_id(1) == 0:
            cell = batch * (S * S) * height * width + row * width
            lse_ptrs = lse + cell + sub[:, None] * (height * width) + column[None, :]
            tl.store(lse_ptrs, largest + tl.log(total), mask=is_sub[:, None] & is_pixel[None, :])
    store_outputs(
        out + batch * stride_ob, result, row, first, column, channel, channels, width,
        stride_oc, stride_oh, stride_ow, S, SUBS, IN_ROWS, BLOCK_C, BLOCK_P,
    )  # fmt: skip
