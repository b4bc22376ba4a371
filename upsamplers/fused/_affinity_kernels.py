"""The kernel that goes from queries and keys to the reassembled feature, without logits or weights in memory."""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.fused._launch import tuned
from upsamplers.fused._row_kernels import KINDS, LEAST, fits, has_row, run_of_pixels, store_outputs, tiles

# Queries stay in registers beside the sums; the last are for large scales and many dimensions.
BLOCKS = tiles((16, 32, 4), (32, 32, 4), (64, 32, 8), (32, 16, 8), (8, 16, 4), (8, 8, 8))


def few_sums(config: Any, given: Mapping[str, Any]) -> bool:
    """Whether a thread's sums and queries stay in its registers."""
    return fits(config, given["SUBS"] * (config.kwargs["BLOCK_C"] + given["DIM"]), BLOCKS)


@triton.jit
def load_queries(
    query, row, first, column, dim, depth, width, query_channel, query_row, query_column,
    S: tl.constexpr, SUBS: tl.constexpr, IN_ROWS: tl.constexpr, DIM: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Those of all output pixels, (DIM, SUBS, P); where they lie in rows, read a whole row side by side."""
    if IN_ROWS and SUBS == S * S and S > 1:
        across = first * S + tl.arange(0, BLOCK_P * S)
        where = dim[:, None, None] * query_channel + ((row * S + tl.arange(0, S)) * query_row)[None, :, None]
        where = where + (across * query_column)[None, None, :]
        found = tl.load(
            query + where, mask=(dim < depth)[:, None, None] & (across < width * S)[None, None, :], other=0.0
        )
        found = tl.permute(tl.reshape(found, (DIM, S, BLOCK_P, S)), (0, 1, 3, 2))
        return tl.reshape(found, (DIM, SUBS, BLOCK_P)).to(tl.float32)
    sub = tl.arange(0, SUBS)
    mask = (sub < S * S)[:, None] & (column < width)[None, :]
    where = ((row * S + sub // S) * query_row)[:, None] + ((column * S)[None, :] + (sub % S)[:, None]) * query_column
    where = dim[:, None, None] * query_channel + where[None, :, :]
    return tl.load(query + where, mask=(dim < depth)[:, None, None] & mask[None, :, :], other=0.0).to(tl.float32)


@tuned(BLOCKS, ("channels", "depth", "size", "images", "K", "S", "x_column"), suits=few_sums)
@triton.jit(do_not_specialize=KINDS)
def affinity_sum(
    x, query, key, out, lse,
    channels, depth, height, width, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    query_batch, query_channel, query_row, query_column,
    key_batch, key_channel, key_row, key_column,
    K: tl.constexpr, S: tl.constexpr, SUBS: tl.constexpr, DIM: tl.constexpr, IN_ROWS: tl.constexpr,
    STORE_LSE: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """As `window_sum`, the logits being the products of queries (D, sH, sW) with the keys (D, H, W) of the window.

    Each is found once: what is summed so far shrinks whenever a larger one comes.
    """
    row, first, column = run_of_pixels(width, WIDE, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = tl.program_id(2).to(tl.int64)
    sub, dim = tl.arange(0, SUBS), tl.arange(0, DIM)
    is_pixel, is_channel, is_sub = column < width, channel < channels, sub < S * S
    if WIDE:
        channel, dim = channel.to(tl.int64), dim.to(tl.int64)
    asked = load_queries(
        query + batch * query_batch, row, first, column, dim, depth, width, query_channel, query_row, query_column,
        S, SUBS, IN_ROWS, DIM, BLOCK_P,
    )  # fmt: skip
    key += batch * key_batch + row * key_row
    x += batch * x_batch + row * x_row

    total = tl.zeros([SUBS, BLOCK_P], tl.float32)
    biggest = tl.full([SUBS, BLOCK_P], LEAST, tl.float32)
    result = tl.zeros([SUBS, BLOCK_C, BLOCK_P], tl.float32)
    here = channel[:, None] * x_channel + (column * x_column)[None, :]
    there = dim[:, None] * key_channel + (column * key_column)[None, :]
    for line in range(K):  # of the window; its pixels lie side by side, where one address serves all
        below = line - K // 2
        seen = is_pixel & has_row(row + below, height, column)
        for side in tl.static_range(K):
            right = side - K // 2
            sees = (seen & (column + right >= 0) & (column + right < width))[None, :]
            found = tl.load(
                key + (there + below * key_row) + right * key_column, mask=(dim < depth)[:, None] & sees, other=0.0
            ).to(tl.float32)
            value = tl.sum(asked * found[:, None, :], axis=0)  # a key outside counts zero
            bigger = tl.maximum(biggest, value)
            shrunk, value = tl.exp(biggest - bigger), tl.exp(value - bigger)
            total, biggest = total * shrunk + value, bigger
            window = tl.load(
                x + (here + below * x_row) + right * x_column, mask=is_channel[:, None] & sees, other=0.0
            ).to(tl.float32)
            result = result * shrunk[:, None, :] + value[:, None, :] * window[None, :, :]
    result *= (1.0 / total)[:, None, :]
    if STORE_LSE:
        if tl.program_id(1) == 0:
            cell = batch * (S * S) * height * width + row * width
            tl.store(
                lse + cell + sub[:, None] * (height * width) + column[None, :], biggest + tl.log(total),
                mask=is_sub[:, None] & is_pixel[None, :],
            )  # fmt: skip
    store_outputs(
        out + batch * out_batch, result, row, first, column, channel, channels, width,
        out_channel, out_row, out_column, S, SUBS, IN_ROWS, BLOCK_C, BLOCK_P,
    )  # fmt: skip
