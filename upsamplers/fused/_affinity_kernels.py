"""The kernel that goes from queries and keys to the reassembled feature, without logits or weights in memory."""

import triton
import triton.language as tl

from upsamplers.fused._launch import tuned

# Below every logit, and finite: minus infinity has no difference to itself.
LEAST = tl.constexpr(-3.0e38)
# Queries stay in registers beside the sums, which leaves room for fewer of these than `window_sum` has.
BLOCKS = [
    triton.Config({"BLOCK_C": channels, "BLOCK_P": pixels}, num_warps=warps)
    for channels, pixels, warps in ((16, 32, 4), (32, 32, 4), (64, 32, 8), (32, 64, 8))
]


@tuned(BLOCKS, ("channels", "depth", "size", "images", "K", "S", "x_column"))
@triton.jit
def affinity_sum(
    x, query, key, out, lse,
    channels, depth, height, width, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    query_batch, query_channel, query_row, query_column,
    key_batch, key_channel, key_row, key_column,
    K: tl.constexpr, S: tl.constexpr, SUBS: tl.constexpr, DIM: tl.constexpr,
    STORE_LSE: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """As `window_sum`, the logits being the products of queries (D, sH, sW) with the keys (D, H, W) of the window.

    Each is found once: what is summed so far shrinks whenever a larger one comes.
    """
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = tl.program_id(2).to(tl.int64)
    sub, dim = tl.arange(0, SUBS), tl.arange(0, DIM)
    row, column = pixel // width, pixel % width
    is_pixel, is_channel, is_sub = pixel < height * width, channel < channels, sub < S * S
    if WIDE:
        row, column, channel, dim = row.to(tl.int64), column.to(tl.int64), channel.to(tl.int64), dim.to(tl.int64)
    mask = is_sub[:, None] & is_pixel[None, :]
    down = (row * S)[None, :] + (sub // S)[:, None]
    across = (column * S)[None, :] + (sub % S)[:, None]
    place = dim[:, None, None] * query_channel + (down * query_row + across * query_column)[None, :, :]
    asked = tl.load(
        query + batch * query_batch + place, mask=(dim < depth)[:, None, None] & mask[None, :, :], other=0.0
    ).to(tl.float32)
    key += batch * key_batch
    x += batch * x_batch

    total = tl.zeros([SUBS, BLOCK_P], tl.float32)
    biggest = tl.full([SUBS, BLOCK_P], LEAST, tl.float32)
    result = tl.zeros([SUBS, BLOCK_C, BLOCK_P], tl.float32)
    here = channel[:, None] * x_channel + (row * x_row + column * x_column)[None, :]
    there = dim[:, None] * key_channel + (row * key_row + column * key_column)[None, :]
    for line in range(K):  # of the window; its pixels lie side by side, where one address serves all
        below = line - K // 2
        seen = is_pixel & (row + below >= 0) & (row + below < height)
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
            cell = batch * (S * S) * height * width
            tl.store(lse + cell + sub[:, None] * (height * width) + pixel[None, :], biggest + tl.log(total), mask=mask)

    where = channel[None, :, None] * out_channel + (down * out_row + across * out_column)[:, None, :]
    tl.store(
        out + batch * out_batch + where, result.to(out.dtype.element_ty),
        mask=mask[:, None, :] & is_channel[None, :, None],
    )  # fmt: skip
