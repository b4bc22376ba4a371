"""Kernels of neighbourhood attention: weights are never stored; each kernel computes those that it needs.

Output pixels side by side share most of their windows. A program has a rectangle of them (M) and goes through the
pixels of x in all their windows, a block (N) at a time: products of matrices, masked to the window of each pixel. The
gradients of keys and x go the other way, from a rectangle of pixels of x through the output pixels that see one of
them: sums in a fixed order, without atomic additions.

D and C are the channels of one head here.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import IN_FLOAT32, PRECISION, tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, LOWEST, blocks, image_tile, output_tile
from upsamplers.functional.backend import next_power_of_2

KEYS = ("depth", "channels", *AUTOTUNE_KEYS, "stride_xw", "stride_ow", "K", "S")
# Rows and columns of output pixels, pixels of x and channels at a time.
FORWARD = blocks(
    ("BLOCK_H", "BLOCK_W", "BLOCK_N", "BLOCK_C"),
    (8, 8, 16, 64, 4), (8, 16, 32, 64, 8), (8, 16, 16, 64, 8), (8, 8, 32, 64, 8), (4, 16, 16, 64, 4),
    (8, 8, 32, 128, 8), (8, 16, 16, 128, 8), (8, 8, 32, 32, 4), (8, 16, 16, 32, 4), (4, 4, 16, 16, 4),
)  # fmt: skip
DQUERY = blocks(
    ("BLOCK_H", "BLOCK_W", "BLOCK_N", "BLOCK_C"),
    (8, 8, 16, 32, 4), (8, 16, 16, 32, 8), (8, 8, 32, 32, 8), (4, 16, 16, 32, 4), (4, 8, 32, 32, 4),
    (4, 8, 16, 32, 4), (4, 4, 16, 16, 4),
)  # fmt: skip
# Rows and columns of pixels of x, output pixels and channels at a time.
GATHER = blocks(
    ("BLOCK_H", "BLOCK_W", "BLOCK_M", "BLOCK_C"),
    (4, 4, 64, 64, 4), (4, 4, 32, 64, 4), (4, 8, 32, 64, 8), (4, 4, 64, 32, 4), (4, 8, 32, 32, 4),
    (8, 8, 32, 32, 8), (4, 4, 32, 16, 4),
)  # fmt: skip
# Numbers that a thread keeps of a block's queries, or of its sums.
MOST_NUMBERS = 64


def fits(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a program's queries and sums stay in registers; the last configuration is for what fits no other."""
    sizes = config.kwargs
    rows = sizes["BLOCK_H"] * sizes["BLOCK_W"]
    largest = max(rows, sizes.get("BLOCK_M", 0)) * max(arguments["DEPTH"], sizes["BLOCK_C"])
    is_needed = sizes["BLOCK_C"] <= max(16, next_power_of_2(arguments["channels"]))
    return bool(sizes["BLOCK_C"] == 16 or (is_needed and largest <= MOST_NUMBERS * 32 * config.num_warps))


# Queries and features of different dtypes are multiplied in float32, as in the PyTorch form.
DERIVED = {
    name: lambda given, rule=rule: rule(given) or given["x"].dtype != given["query"].dtype
    for name, rule in IN_FLOAT32.items()
}


@triton.jit
def window_start(pixel, length, K: tl.constexpr, S: tl.constexpr):
    """The first row, or column, of the window of an output pixel: pushed inside at the borders."""
    return tl.maximum(tl.minimum(pixel // S - K // 2, length - K), 0)


@triton.jit
def output_windows(height, width, K: tl.constexpr, S: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr):
    """A program's output pixels (M, 1): row, column, whether in the image, first row and column of the window."""
    row, column, is_out = output_tile(height * S, width * S, BLOCK_H, BLOCK_W)
    row, column = row[:, None], column[:, None]
    return row, column, is_out[:, None], window_start(row, height, K, S), window_start(column, width, K, S)


@triton.jit
def all_windows(top, left, K: tl.constexpr):
    """The rectangle that windows from these rows and columns on cover: first row and column, rows and columns."""
    first_row, first_column = tl.min(top), tl.min(left)
    return first_row, first_column, tl.max(top) + K - first_row, tl.max(left) + K - first_column


@triton.jit
def first_to_see(pixel, K: tl.constexpr):
    """The first pixel of x whose window has this one, along an axis."""
    return tl.where(pixel < K, 0, pixel - K // 2)


@triton.jit
def last_to_see(pixel, length, K: tl.constexpr):
    """The last pixel of x whose window has this one, along an axis."""
    return tl.where(pixel >= length - K, length - 1, pixel + K // 2)


@triton.jit
def tile_of(start, first_row, first_column, rows, columns, BLOCK: tl.constexpr):
    """A run of the pixels of a rectangle, row by row, and which of them are in it."""
    index = start + tl.arange(0, BLOCK)
    return first_row + index // columns, first_column + index % columns, index < rows * columns


@triton.jit
def load_tile(image, row, column, is_pixel, channel, channels, stride_c, stride_h, stride_w, IN_FLOAT32: tl.constexpr):
    """Channels (1, C) of pixels (P, 1), or pixels (1, P) of channels (C, 1)."""
    offs = row * stride_h + column * stride_w + channel * stride_c
    value = tl.load(image + offs, mask=is_pixel & (channel < channels), other=0.0)
    if IN_FLOAT32:
        value = value.to(tl.float32)
    return value


@triton.jit
def in_window(row, column, top, left, K: tl.constexpr):
    """Whether pixels (1, N) of x are in windows (M, 1) from these rows and columns on."""
    return (row >= top) & (row < top + K) & (column >= left) & (column < left + K)


@triton.jit
def channel_products(
    grad, row, column, is_out, x, key_row, key_column, is_key, channels,
    stride_oc, stride_oh, stride_ow, stride_xc, stride_xh, stride_xw,
    PIXELS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr, IN_FLOAT32: tl.constexpr,
):  # fmt: skip
    """Products (M, N) of the output's gradient (M pixels) with pixels of x (N) over all channels."""
    result = tl.zeros([PIXELS, BLOCK_N], tl.float32)
    for start in range(0, channels, BLOCK_C):
        channel = start + tl.arange(0, BLOCK_C)
        grad_tile = load_tile(
            grad, row, column, is_out, channel[None, :], channels, stride_oc, stride_oh, stride_ow, IN_FLOAT32
        )
        value = load_tile(
            x, key_row, key_column, is_key, channel[:, None], channels, stride_xc, stride_xh, stride_xw, IN_FLOAT32
        )
        result = tl.dot(grad_tile, value, result, input_precision="ieee")
    return result


@tuned(FORWARD, KEYS, fits=fits, derived=DERIVED | PRECISION)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def neighbourhood_attention_fwd_kernel(
    query, key, x, out,
    depth, channels, heads, height, width, factor, tune_pixels, tune_images,
    stride_qb, stride_qc, stride_qh, stride_qw, stride_kb, stride_kc, stride_kh, stride_kw,
    stride_xb, stride_xc, stride_xh, stride_xw, stride_ob, stride_oc, stride_oh, stride_ow,
    K: tl.constexpr, S: tl.constexpr, DEPTH: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr, IN_FLOAT32: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out = Σ_n softmax_n(factor · query · key_n) · x_n over the window of each output pixel, for BLOCK_C channels."""
    batch, head = image_tile(heads)
    head = head.to(tl.int64)
    row, column, is_out, top, left = output_windows(height, width, K, S, BLOCK_H, BLOCK_W)
    first_row, first_column, rows, columns = all_windows(top, left, K)
    dim = tl.arange(0, DEPTH)
    query += batch * stride_qb + head * depth * stride_qc
    key += batch * stride_kb + head * depth * stride_kc
    x += batch * stride_xb + head * channels * stride_xc
    q = load_tile(query, row, column, is_out, dim[None, :], depth, stride_qc, stride_qh, stride_qw, IN_FLOAT32)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)[None, :]
    running_max = tl.full([BLOCK_H * BLOCK_W, 1], LOWEST, tl.float32)
    total = tl.zeros([BLOCK_H * BLOCK_W, 1], tl.float32)
    result = tl.zeros([BLOCK_H * BLOCK_W, BLOCK_C], tl.float32)
    for start in range(0, rows * columns, BLOCK_N):
        key_row, key_column, is_key = tile_of(start, first_row, first_column, rows, columns, BLOCK_N)
        k = load_tile(
            key, key_row[None, :], key_column[None, :], is_key[None, :], dim[:, None], depth,
            stride_kc, stride_kh, stride_kw, IN_FLOAT32,
        )  # fmt: skip
        seen = is_key[None, :] & in_window(key_row[None, :], key_column[None, :], top, left, K)
        logits = tl.where(seen, tl.dot(q, k, input_precision=PRECISION) * factor, LOWEST)
        previous = running_max
        running_max = tl.maximum(running_max, tl.max(logits, axis=1, keep_dims=True))
        weights = tl.where(seen, tl.exp(logits - running_max), 0.0)
        rescale = tl.exp(previous - running_max)
        total = total * rescale + tl.sum(weights, axis=1, keep_dims=True)
        value = load_tile(
            x, key_row[:, None], key_column[:, None], is_key[:, None], channel, channels,
            stride_xc, stride_xh, stride_xw, IN_FLOAT32,
        )  # fmt: skip
        result = tl.dot(weights.to(value.dtype), value, result * rescale, input_precision=PRECISION)
    out += batch * stride_ob + head * channels * stride_oc
    o_ptrs = out + (row * stride_oh + column * stride_ow + channel * stride_oc)
    tl.store(o_ptrs, (result / total).to(out.dtype.element_ty), mask=is_out & (channel < channels))


@tuned(DQUERY, KEYS, fits=fits, derived=DERIVED)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def neighbourhood_attention_bwd_dquery_kernel(
    query, key, x, grad, grad_query, lse, delta,
    depth, channels, heads, height, width, factor, tune_pixels, tune_images,
    stride_qb, stride_qc, stride_qh, stride_qw, stride_kb, stride_kc, stride_kh, stride_kw,
    stride_xb, stride_xc, stride_xh, stride_xw, stride_ob, stride_oc, stride_oh, stride_ow,
    K: tl.constexpr, S: tl.constexpr, DEPTH: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr, IN_FLOAT32: tl.constexpr,
):  # fmt: skip
    """The gradient of the query, laid out as it is.

    Also stored for the gradients of keys and x, (B, heads, sH, sW) each: the log-sum-exp of the logits, and delta =
    Σ weight · its gradient.
    """
    PIXELS: tl.constexpr = BLOCK_H * BLOCK_W
    batch, head = image_tile(heads)
    head = head.to(tl.int64)
    row, column, is_out, top, left = output_windows(height, width, K, S, BLOCK_H, BLOCK_W)
    first_row, first_column, rows, columns = all_windows(top, left, K)
    dim = tl.arange(0, DEPTH)
    query += batch * stride_qb + head * depth * stride_qc
    key += batch * stride_kb + head * depth * stride_kc
    x += batch * stride_xb + head * channels * stride_xc
    grad += batch * stride_ob + head * channels * stride_oc
    q = load_tile(query, row, column, is_out, dim[None, :], depth, stride_qc, stride_qh, stride_qw, IN_FLOAT32)
    running_max = tl.full([PIXELS, 1], LOWEST, tl.float32)
    total = tl.zeros([PIXELS, 1], tl.float32)
    average = tl.zeros([PIXELS, 1], tl.float32)
    for start in range(0, rows * columns, BLOCK_N):
        key_row, key_column, is_key = tile_of(start, first_row, first_column, rows, columns, BLOCK_N)
        key_row, key_column, is_key = key_row[None, :], key_column[None, :], is_key[None, :]
        k = load_tile(
            key, key_row, key_column, is_key, dim[:, None], depth, stride_kc, stride_kh, stride_kw, IN_FLOAT32
        )
        seen = is_key & in_window(key_row, key_column, top, left, K)
        logits = tl.where(seen, tl.dot(q, k, input_precision="ieee") * factor, LOWEST)
        products = channel_products(
            grad, row, column, is_out, x, key_row, key_column, is_key, channels,
            stride_oc, stride_oh, stride_ow, stride_xc, stride_xh, stride_xw, PIXELS, BLOCK_N, BLOCK_C, IN_FLOAT32,
        )  # fmt: skip
        previous = running_max
        running_max = tl.maximum(running_max, tl.max(logits, axis=1, keep_dims=True))
        weights = tl.where(seen, tl.exp(logits - running_max), 0.0)
        rescale = tl.exp(previous - running_max)
        total = total * rescale + tl.sum(weights, axis=1, keep_dims=True)
        average = average * rescale + tl.sum(weights * products, axis=1, keep_dims=True)
    normaliser, average = running_max + tl.log(total), average / total
    result = tl.zeros([PIXELS, DEPTH], tl.float32)
    for start in range(0, rows * columns, BLOCK_N):
        key_row, key_column, is_key = tile_of(start, first_row, first_column, rows, columns, BLOCK_N)
        key_row, key_column, is_key = key_row[None, :], key_column[None, :], is_key[None, :]
        k = load_tile(
            key, key_row, key_column, is_key, dim[:, None], depth, stride_kc, stride_kh, stride_kw, IN_FLOAT32
        )
        seen = is_key & in_window(key_row, key_column, top, left, K)
        logits = tl.dot(q, k, input_precision="ieee") * factor
        weights = tl.where(seen, tl.exp(logits - normaliser), 0.0)
        products = channel_products(
            grad, row, column, is_out, x, key_row, key_column, is_key, channels,
            stride_oc, stride_oh, stride_ow, stride_xc, stride_xh, stride_xw, PIXELS, BLOCK_N, BLOCK_C, IN_FLOAT32,
        )  # fmt: skip
        grad_logits = weights * (products - average) * factor
        result = tl.dot(grad_logits.to(k.dtype), tl.trans(k), result, input_precision="ieee")
    grad_query += batch * stride_qb + head * depth * stride_qc
    q_ptrs = grad_query + (row * stride_qh + column * stride_qw + dim[None, :] * stride_qc)
    tl.store(q_ptrs, result.to(grad_query.dtype.element_ty), mask=is_out & (dim < depth)[None, :])
    offs = tl.program_id(2).to(tl.int64) * (height * S) * (width * S) + row * (width * S) + column
    tl.store(lse + offs, normaliser, mask=is_out)
    tl.store(delta + offs, average, mask=is_out)


@triton.jit
def pixels_that_see(height, width, K: tl.constexpr, S: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr):
    """The output pixels that see one of a program's pixels of x: first row and column, rows and columns."""
    tiles = tl.cdiv(width, BLOCK_W)
    row, column = tl.program_id(0) // tiles * BLOCK_H, tl.program_id(0) % tiles * BLOCK_W
    first_row, first_column = first_to_see(row, K), first_to_see(column, K)
    last_row = last_to_see(tl.minimum(row + BLOCK_H, height) - 1, height, K)
    last_column = last_to_see(tl.minimum(column + BLOCK_W, width) - 1, width, K)
    return first_row * S, first_column * S, (last_row + 1 - first_row) * S, (last_column + 1 - first_column) * S


@tuned(GATHER, (*KEYS, "OF_KEY"), fits=fits, derived=DERIVED)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def neighbourhood_attention_bwd_dx_kernel(
    query, key, x, grad, lse, delta, out,
    depth, channels, heads, height, width, factor, tune_pixels, tune_images,
    stride_qb, stride_qc, stride_qh, stride_qw, stride_kb, stride_kc, stride_kh, stride_kw,
    stride_xb, stride_xc, stride_xh, stride_xw, stride_ob, stride_oc, stride_oh, stride_ow,
    K: tl.constexpr, S: tl.constexpr, DEPTH: tl.constexpr, OF_KEY: tl.constexpr,
    BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
    IN_FLOAT32: tl.constexpr,
):  # fmt: skip
    """With OF_KEY the gradient of the keys, all channels; else that of x, BLOCK_C channels. Laid out as these are."""
    PIXELS: tl.constexpr = BLOCK_H * BLOCK_W
    batch, head = image_tile(heads)
    head = head.to(tl.int64)
    key_row, key_column, is_key = output_tile(height, width, BLOCK_H, BLOCK_W)
    key_row, key_column, is_key = key_row[None, :], key_column[None, :], is_key[None, :]
    first_row, first_column, rows, columns = pixels_that_see(height, width, K, S, BLOCK_H, BLOCK_W)
    dim = tl.arange(0, DEPTH)
    query += batch * stride_qb + head * depth * stride_qc
    key += batch * stride_kb + head * depth * stride_kc
    x += batch * stride_xb + head * channels * stride_xc
    grad += batch * stride_ob + head * channels * stride_oc
    plane = tl.program_id(2).to(tl.int64) * (height * S) * (width * S)
    lse += plane
    delta += plane
    k = load_tile(key, key_row, key_column, is_key, dim[:, None], depth, stride_kc, stride_kh, stride_kw, IN_FLOAT32)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    if OF_KEY:
        result = tl.zeros([PIXELS, DEPTH], tl.float32)
    else:
        result = tl.zeros([PIXELS, BLOCK_C], tl.float32)
    for start in range(0, rows * columns, BLOCK_M):
        row, column, is_out = tile_of(start, first_row, first_column, rows, columns, BLOCK_M)
        row, column, is_out = row[:, None], column[:, None], is_out[:, None]
        q = load_tile(query, row, column, is_out, dim[None, :], depth, stride_qc, stride_qh, stride_qw, IN_FLOAT32)
        top, left = window_start(row, height, K, S), window_start(column, width, K, S)
        seen = is_out & is_key & in_window(key_row, key_column, top, left, K)
        offs = row * (width * S) + column
        logits = tl.dot(q, k, input_precision="ieee") * factor
        weights = tl.where(seen, tl.exp(logits - tl.load(lse + offs, mask=is_out, other=0.0)), 0.0)
        if OF_KEY:
            products = channel_products(
                grad, row, column, is_out, x, key_row, key_column, is_key, channels,
                stride_oc, stride_oh, stride_ow, stride_xc, stride_xh, stride_xw, BLOCK_M, PIXELS, BLOCK_C, IN_FLOAT32,
            )  # fmt: skip
            grad_logits = weights * (products - tl.load(delta + offs, mask=is_out, other=0.0)) * factor
            result = tl.dot(tl.trans(grad_logits).to(q.dtype), q, result, input_precision="ieee")
        else:
            grad_tile = load_tile(
                grad, row, column, is_out, channel[None, :], channels, stride_oc, stride_oh, stride_ow, IN_FLOAT32
            )
            result = tl.dot(tl.trans(weights).to(grad_tile.dtype), grad_tile, result, input_precision="ieee")
    key_row, key_column, is_key = tl.trans(key_row), tl.trans(key_column), tl.trans(is_key)
    if OF_KEY:
        out += batch * stride_kb + head * depth * stride_kc
        o_ptrs = out + (key_row * stride_kh + key_column * stride_kw + dim[None, :] * stride_kc)
        tl.store(o_ptrs, result.to(out.dtype.element_ty), mask=is_key & (dim < depth)[None, :])
    else:
        out += batch * stride_xb + head * channels * stride_xc
        o_ptrs = out + (key_row * stride_xh + key_column * stride_xw + channel[None, :] * stride_xc)
        tl.store(o_ptrs, result.to(out.dtype.element_ty), mask=is_key & (channel < channels)[None, :])
