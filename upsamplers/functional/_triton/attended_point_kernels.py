"""Kernels of local deformable attention: positions of points, logits of the attention, sums of samples, gradients.

Images are read channels last, so that threads side by side read the channels of one pixel, 16 bytes each. A program has
a rectangle of output pixels: their points lie close together, and the pixels around them come from L2 once. Positions
and logits are stored, since a program would otherwise compute each once a thread instead of once a pixel.

Z groups, P = k² points, N = sH · sW output pixels. Positions are (B, Z, P, 2, N), rows before columns, in pixels of x;
logits (B, P, N), with their log-sum-exp over the points (B, N). All are float32.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import next_power_of_2, tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, LOWEST, blocks, image_tile

KEYS = ("channels", "groups", "points", *AUTOTUNE_KEYS, "stride_ow")
KEY_KEYS = ("depth", "groups", "points", *AUTOTUNE_KEYS, "stride_qw")
# Of pixels, rows by columns. Eight pixels of a row are a sector of float32, which a contiguous output is written in.
SIZES = ("CHUNKS", "STEP_C", "BLOCK_H", "BLOCK_W")
# A thread has 4 of STEP_C channels in each of CHUNKS: more chunks share the place and the weights of a point.
SUMS = (
    (4, 32, 4, 8, 4), (4, 32, 4, 16, 4), (4, 32, 8, 8, 8), (4, 32, 8, 16, 8), (2, 64, 4, 8, 4), (2, 32, 4, 8, 4),
    (2, 32, 8, 8, 4), (2, 32, 4, 16, 4), (1, 64, 8, 8, 4), (1, 32, 4, 8, 4), (1, 32, 8, 8, 4), (1, 16, 4, 8, 4),
)  # fmt: skip
# A program has all channels of the keys.
LOGITS = ((4, 8, 4), (8, 8, 4), (4, 16, 4), (8, 8, 8), (8, 16, 8), (2, 8, 4), (4, 4, 2), (4, 8, 8), (2, 4, 4))
# Numbers that a thread keeps of a tile of keys.
MOST_KEYS = 64


def fits_channels(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a program has no more channels than a group, rounded up; the last configuration is for fewer."""
    channels = config.kwargs["CHUNKS"] * config.kwargs["STEP_C"]
    return bool(channels <= max(16, next_power_of_2(arguments["channels"])))


def fits_keys(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether the keys of a program's pixels stay in registers; the last configuration is for what fits no other."""
    numbers = arguments["GROUPS"] * arguments["DEPTH"] * config.kwargs["BLOCK_H"] * config.kwargs["BLOCK_W"]
    return bool(numbers <= MOST_KEYS * 32 * config.num_warps) or config.kwargs == dict(BLOCK_H=2, BLOCK_W=4)


@triton.jit
def output_tile(height, width, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr):
    """The rows and columns of a program's output pixels (N), and which of them are in the image."""
    tiles = tl.cdiv(width, BLOCK_W)
    pixel = tl.arange(0, BLOCK_H * BLOCK_W)
    row = tl.program_id(0) // tiles * BLOCK_H + pixel // BLOCK_W
    column = tl.program_id(0) % tiles * BLOCK_W + pixel % BLOCK_W
    return row, column, (row < height) & (column < width)


@triton.jit
def share(distance):
    """Of a pixel in a sample this far below or right of it; what is no number stays none."""
    return tl.maximum(1.0 - tl.abs(distance), 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def slope(distance):
    """How fast the share changes with the distance; at its kinks as it goes on from there."""
    falls = tl.where((distance >= 0.0) & (distance < 1.0), -1.0, 0.0)
    return tl.where((distance >= -1.0) & (distance < 0.0), 1.0, falls)


@triton.jit
def first_pixel(position, length):
    """The first of the two pixels along an axis that a sample is taken from; both are within the image."""
    return tl.maximum(tl.minimum(tl.floor(position), length - 2.0), 0.0)


@triton.jit
def moved_by(offset):
    """tanh, in units of the reach."""
    return 2.0 * tl.sigmoid(2.0 * offset) - 1.0


@tuned(blocks(("BLOCK_P",), (256, 4), (512, 4), (1024, 4)), ("points", *AUTOTUNE_KEYS, "stride_fw"))
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def point_positions_kernel(
    offsets, positions,
    points, height, width, out_height, out_width, reach, tune_pixels, tune_images,
    stride_fb, stride_fc, stride_fh, stride_fw,
    K: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Where one point of one group is, for a run of output pixels."""
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    area = out_height * out_width
    mask = pixel < area
    row, column = pixel // out_width, pixel % out_width
    batch, plane = tl.program_id(2).to(tl.int64), tl.program_id(1)  # a plane for each group and point
    point = plane % points
    f_ptrs = offsets + batch * stride_fb + 2 * plane.to(tl.int64) * stride_fc + row * stride_fh + column * stride_fw
    down = row + (point // K - K // 2) + reach * moved_by(tl.load(f_ptrs, mask=mask, other=0.0).to(tl.float32))
    right = tl.load(f_ptrs + stride_fc, mask=mask, other=0.0).to(tl.float32)
    right = column + (point % K - K // 2) + reach * moved_by(right)
    # Divided last and exactly, so that what is an integer comes out as one.
    y = tl.div_rn(down * (height - 1.0), tl.maximum(out_height - 1.0, 1.0) + tl.zeros_like(down))
    x = tl.div_rn(right * (width - 1.0), tl.maximum(out_width - 1.0, 1.0) + tl.zeros_like(right))
    positions += (batch * tl.num_programs(1) + plane) * 2 * area + pixel
    tl.store(positions, y, mask=mask)
    tl.store(positions + area, x, mask=mask)


@tuned(blocks(("BLOCK_H", "BLOCK_W"), *LOGITS), KEY_KEYS, fits=fits_keys)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def attended_points_logits_kernel(
    key, query, bias, positions, logits, lse,
    depth, groups, points, height, width, out_height, out_width, factor, tune_pixels, tune_images,
    stride_kb, stride_kh, stride_kw, stride_qb, stride_qc, stride_qh, stride_qw,
    GROUPS: tl.constexpr, DEPTH: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """logits[m] = factor · query · (key sampled at point m + bias[m]), over the channels of all groups."""
    batch = tl.program_id(2).to(tl.int64)
    row, column, is_out = output_tile(out_height, out_width, BLOCK_H, BLOCK_W)
    pixel, area = row * out_width + column, out_height * out_width
    group, dim = tl.arange(0, GROUPS), tl.arange(0, DEPTH)
    channel = group[:, None, None] * depth + dim[None, None, :]  # (Z, 1, D)
    is_channel = (group < groups)[:, None, None] & (dim < depth)[None, None, :]
    is_point = (group < groups)[:, None] & is_out[None, :]  # (Z, N)
    q_ptrs = query + batch * stride_qb + channel * stride_qc + (row * stride_qh + column * stride_qw)[None, :, None]
    mask = is_channel & is_out[None, :, None]
    q = tl.load(q_ptrs, mask=mask, other=0.0).to(tl.float32)  # (Z, N, D)
    key += batch * stride_kb
    y_ptrs = positions + (batch * groups + group.to(tl.int64))[:, None] * (2 * points * area) + pixel[None, :]
    b_ptrs = bias + channel
    logits += batch * points * area + pixel
    highest = tl.full([BLOCK_H * BLOCK_W], LOWEST, tl.float32)
    total = tl.zeros([BLOCK_H * BLOCK_W], tl.float32)
    for _ in range(points):
        y = tl.load(y_ptrs, mask=is_point, other=0.0)
        x = tl.load(y_ptrs + area, mask=is_point, other=0.0)
        top, left = first_pixel(y, height), first_pixel(x, width)
        offs = (top.to(tl.int32) * stride_kh + left.to(tl.int32) * stride_kw)[:, :, None]
        down, up, right = share(y - top - 1.0), share(y - top), share(x - left - 1.0)
        left = share(x - left)
        k_ptrs = key + (offs + channel)
        k = tl.load(b_ptrs, mask=is_channel, other=0.0).to(tl.float32)
        k += (up * left)[:, :, None] * tl.load(k_ptrs, mask=is_channel, other=0.0).to(tl.float32)
        k += (up * right)[:, :, None] * tl.load(k_ptrs + stride_kw, mask=is_channel, other=0.0).to(tl.float32)
        k_ptrs += stride_kh
        k += (down * left)[:, :, None] * tl.load(k_ptrs, mask=is_channel, other=0.0).to(tl.float32)
        k += (down * right)[:, :, None] * tl.load(k_ptrs + stride_kw, mask=is_channel, other=0.0).to(tl.float32)
        logit = tl.sum(tl.sum(q * k, axis=2), axis=0) * factor
        tl.store(logits, logit, mask=is_out)
        before = highest
        highest = tl.maximum(highest, logit)
        total = total * tl.exp(before - highest) + tl.exp(logit - highest)
        logits += area
        y_ptrs += 2 * area
        b_ptrs += groups * depth
    tl.store(lse + batch * area + pixel, highest + tl.log(total), mask=is_out)


@triton.jit
def channel_tile(channels, CHUNKS: tl.constexpr, STEP_C: tl.constexpr, UNMASKED: tl.constexpr):
    """The channels (CHUNKS, 1, STEP_C) of a program within its group, and which there are."""
    channel = (tl.arange(0, CHUNKS) * STEP_C)[:, None, None] + tl.arange(0, STEP_C)[None, None, :]
    channel += tl.program_id(1) * (CHUNKS * STEP_C)
    return channel, (channel >= 0) if UNMASKED else (channel < channels)


# Whether the channels of all programs exist, so that none needs a mask.
UNMASKED = {"UNMASKED": lambda given: given["channels"] % (given["CHUNKS"] * given["STEP_C"]) == 0}


@tuned(blocks(SIZES, *SUMS), KEYS, fits=fits_channels, derived=UNMASKED)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def attended_points_fwd_kernel(
    x, positions, logits, lse, out,
    channels, groups, points, height, width, out_height, out_width, tune_pixels, tune_images,
    stride_xb, stride_xh, stride_xw, stride_ob, stride_oc, stride_oh, stride_ow,
    CHUNKS: tl.constexpr, STEP_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """out[c] = Σ_m exp(logits[m] - lse) · x[c] sampled at point m of the group of c."""
    batch, group = image_tile(groups)
    row, column, is_out = output_tile(out_height, out_width, BLOCK_H, BLOCK_W)
    pixel, area = row * out_width + column, out_height * out_width
    channel, is_channel = channel_tile(channels, CHUNKS, STEP_C, UNMASKED)
    x += batch * stride_xb + group * channels
    positions += (batch * groups + group) * (2 * points * area) + pixel
    logits += batch * points * area + pixel
    normaliser = tl.load(lse + batch * area + pixel, mask=is_out, other=0.0)
    result = tl.zeros([CHUNKS, BLOCK_H * BLOCK_W, STEP_C], tl.float32)
    for _ in range(points):
        y = tl.load(positions, mask=is_out, other=0.0)
        x_position = tl.load(positions + area, mask=is_out, other=0.0)
        weight = tl.exp(tl.load(logits, mask=is_out, other=0.0) - normaliser)
        top, left = first_pixel(y, height), first_pixel(x_position, width)
        offs = (top.to(tl.int32) * stride_xh + left.to(tl.int32) * stride_xw)[None, :, None]
        down, up, right = share(y - top - 1.0) * weight, share(y - top) * weight, share(x_position - left - 1.0)
        left = share(x_position - left)
        x_ptrs = x + (offs + channel)
        result += (up * left)[None, :, None] * load_channels(x_ptrs, is_channel, UNMASKED)
        result += (up * right)[None, :, None] * load_channels(x_ptrs + stride_xw, is_channel, UNMASKED)
        x_ptrs += stride_xh
        result += (down * left)[None, :, None] * load_channels(x_ptrs, is_channel, UNMASKED)
        result += (down * right)[None, :, None] * load_channels(x_ptrs + stride_xw, is_channel, UNMASKED)
        positions += 2 * area
        logits += area
    o_ptrs = out + batch * stride_ob + (group * channels + channel) * stride_oc
    o_ptrs += (row * stride_oh + column * stride_ow)[None, :, None]
    tl.store(o_ptrs, result.to(out.dtype.element_ty), mask=is_out[None, :, None] & is_channel)


@triton.jit
def load_channels(ptrs, is_channel, UNMASKED: tl.constexpr):
    """Channels of pixels, in float32."""
    if UNMASKED:
        value = tl.load(ptrs)
    else:
        value = tl.load(ptrs, mask=is_channel, other=0.0)
    return value.to(tl.float32)


# Timing adds to the sums: they begin from nothing each time.
ADDED = ["grad_x", "products", "slopes"]


@tuned(blocks(SIZES, *SUMS), KEYS, fits=fits_channels, derived=UNMASKED, reset_to_zero=ADDED)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def attended_points_bwd_dx_kernel(
    x, positions, logits, lse, grad, grad_x, products, slopes,
    channels, groups, points, height, width, out_height, out_width, tune_pixels, tune_images,
    stride_xb, stride_xh, stride_xw, stride_ob, stride_oc, stride_oh, stride_ow,
    CHUNKS: tl.constexpr, STEP_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """Adds each output pixel's gradient to what it read; and sums its products with the samples and their slopes.

    grad_x is laid out as x. products (B, P, N): grad · x sampled at point m, over all channels. slopes (B, Z, P, 2, N):
    how fast that changes as the points of one group move down and right.
    """
    batch, group = image_tile(groups)
    row, column, is_out = output_tile(out_height, out_width, BLOCK_H, BLOCK_W)
    pixel, area = row * out_width + column, out_height * out_width
    channel, is_channel = channel_tile(channels, CHUNKS, STEP_C, UNMASKED)
    mask = is_out[None, :, None] & is_channel
    g_ptrs = grad + batch * stride_ob + (group * channels + channel) * stride_oc
    gradient = tl.load(g_ptrs + (row * stride_oh + column * stride_ow)[None, :, None], mask=mask, other=0.0)
    gradient = gradient.to(tl.float32)  # (CHUNKS, N, STEP_C)
    first = batch * stride_xb + group * channels
    plane = (batch * groups + group) * (2 * points * area) + pixel
    positions += plane
    slopes += plane
    logits += batch * points * area + pixel
    products += batch * points * area + pixel
    normaliser = tl.load(lse + batch * area + pixel, mask=is_out, other=0.0)
    for _ in range(points):
        y = tl.load(positions, mask=is_out, other=0.0)
        x_position = tl.load(positions + area, mask=is_out, other=0.0)
        weight = tl.exp(tl.load(logits, mask=is_out, other=0.0) - normaliser)
        top, left = first_pixel(y, height), first_pixel(x_position, width)
        offs = first + (top.to(tl.int32) * stride_xh + left.to(tl.int32) * stride_xw)[None, :, None] + channel
        below, beside = y - top, x_position - left
        upper, lower, near, far = share(below), share(below - 1.0), share(beside), share(beside - 1.0)
        a = dots(x + offs, gradient, is_channel, UNMASKED)
        b = dots(x + (offs + stride_xw), gradient, is_channel, UNMASKED)
        c = dots(x + (offs + stride_xh), gradient, is_channel, UNMASKED)
        d = dots(x + (offs + stride_xh + stride_xw), gradient, is_channel, UNMASKED)
        above, under = near * a + far * b, near * c + far * d
        tl.atomic_add(products, upper * above + lower * under, mask=is_out, sem="relaxed")
        tl.atomic_add(slopes, slope(below) * above + slope(below - 1.0) * under, mask=is_out, sem="relaxed")
        across = slope(beside) * (upper * a + lower * c) + slope(beside - 1.0) * (upper * b + lower * d)
        tl.atomic_add(slopes + area, across, mask=is_out, sem="relaxed")
        upper, lower = upper * weight, lower * weight
        add_to(grad_x + offs, (upper * near)[None, :, None] * gradient, mask)
        add_to(grad_x + (offs + stride_xw), (upper * far)[None, :, None] * gradient, mask)
        add_to(grad_x + (offs + stride_xh), (lower * near)[None, :, None] * gradient, mask)
        add_to(grad_x + (offs + stride_xh + stride_xw), (lower * far)[None, :, None] * gradient, mask)
        positions += 2 * area
        slopes += 2 * area
        logits += area
        products += area


@triton.jit
def dots(ptrs, vectors, is_channel, UNMASKED: tl.constexpr):
    """Products of a pixel's channels with vectors (CHUNKS, N, STEP_C): (N)."""
    return tl.sum(tl.sum(vectors * load_channels(ptrs, is_channel, UNMASKED), axis=2), axis=0)


@triton.jit
def add_to(ptrs, value, mask):
    """Adds in no order, except nothing: most of what lies outside an image."""
    tl.atomic_add(ptrs, value, mask=mask & (value != 0.0), sem="relaxed")


@tuned(blocks(("BLOCK_H", "BLOCK_W"), *LOGITS), KEY_KEYS, fits=fits_keys, reset_to_zero=["grad_key"])
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def attended_points_bwd_dkey_kernel(
    key, query, bias, offsets, positions, logits, lse, products, slopes, grad_key, grad_query, grad_offsets, grad_logits,
    depth, groups, points, height, width, out_height, out_width, factor, reach, tune_pixels, tune_images,
    stride_kb, stride_kh, stride_kw, stride_qb, stride_qc, stride_qh, stride_qw,
    stride_fb, stride_fc, stride_fh, stride_fw,
    GROUPS: tl.constexpr, DEPTH: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """The gradients of logits (times factor), query and offsets, each its own pixel's; and of the keys, added to them.

    grad_key is laid out as the keys are, grad_query as the query, grad_offsets as the offsets.
    """
    batch = tl.program_id(2).to(tl.int64)
    row, column, is_out = output_tile(out_height, out_width, BLOCK_H, BLOCK_W)
    pixel, area = row * out_width + column, out_height * out_width
    group, dim = tl.arange(0, GROUPS), tl.arange(0, DEPTH)
    channel = group[:, None, None] * depth + dim[None, None, :]  # (Z, 1, D)
    is_channel = (group < groups)[:, None, None] & (dim < depth)[None, None, :]
    is_point = (group < groups)[:, None] & is_out[None, :]  # (Z, N)
    mask = is_channel & is_out[None, :, None]
    offs_q = batch * stride_qb + channel * stride_qc + (row * stride_qh + column * stride_qw)[None, :, None]
    q = tl.load(query + offs_q, mask=mask, other=0.0).to(tl.float32)  # (Z, N, D)
    first = batch * points * area + pixel
    normaliser = tl.load(lse + batch * area + pixel, mask=is_out, other=0.0)
    mean = tl.zeros([BLOCK_H * BLOCK_W], tl.float32)
    for point in range(points):
        weight = tl.exp(tl.load(logits + first + point * area, mask=is_out, other=0.0) - normaliser)
        mean += weight * tl.load(products + first + point * area, mask=is_out, other=0.0)
    below = (height - 1.0) / tl.maximum(out_height - 1.0, 1.0) * reach
    beside = (width - 1.0) / tl.maximum(out_width - 1.0, 1.0) * reach
    offs_f = batch * stride_fb + (group.to(tl.int64) * (2 * points) * stride_fc)[:, None]
    offs_f += (row * stride_fh + column * stride_fw)[None, :]
    plane = (batch * groups + group.to(tl.int64))[:, None] * (2 * points * area) + pixel[None, :]
    b_ptrs = bias + channel
    grad_q = tl.zeros([GROUPS, BLOCK_H * BLOCK_W, DEPTH], tl.float32)
    for _ in range(points):
        weight = tl.exp(tl.load(logits + first, mask=is_out, other=0.0) - normaliser)
        pull = weight * (tl.load(products + first, mask=is_out, other=0.0) - mean) * factor
        tl.store(grad_logits + first, pull, mask=is_out)
        y = tl.load(positions + plane, mask=is_point, other=0.0)
        x = tl.load(positions + plane + area, mask=is_point, other=0.0)
        top, left = first_pixel(y, height), first_pixel(x, width)
        offs = (top.to(tl.int32) * stride_kh + left.to(tl.int32) * stride_kw)[:, :, None] + channel
        offs = batch * stride_kb + offs
        y, x = y - top, x - left
        upper, lower, near, far = share(y), share(y - 1.0), share(x), share(x - 1.0)
        a = tl.load(key + offs, mask=is_channel, other=0.0).to(tl.float32)
        b = tl.load(key + offs + stride_kw, mask=is_channel, other=0.0).to(tl.float32)
        c = tl.load(key + offs + stride_kh, mask=is_channel, other=0.0).to(tl.float32)
        d = tl.load(key + offs + stride_kh + stride_kw, mask=is_channel, other=0.0).to(tl.float32)
        above = near[:, :, None] * a + far[:, :, None] * b
        under = near[:, :, None] * c + far[:, :, None] * d
        sample = upper[:, :, None] * above + lower[:, :, None] * under
        grad_q += pull[None, :, None] * (sample + tl.load(b_ptrs, mask=is_channel, other=0.0).to(tl.float32))
        down = tl.sum(q * (slope(y)[:, :, None] * above + slope(y - 1.0)[:, :, None] * under), axis=2) * pull[None, :]
        before = upper[:, :, None] * a + lower[:, :, None] * c
        after = upper[:, :, None] * b + lower[:, :, None] * d
        right = tl.sum(q * (slope(x)[:, :, None] * before + slope(x - 1.0)[:, :, None] * after), axis=2) * pull[None, :]
        down += tl.load(slopes + plane, mask=is_point, other=0.0) * weight[None, :]
        right += tl.load(slopes + plane + area, mask=is_point, other=0.0) * weight[None, :]
        move = moved_by(tl.load(offsets + offs_f, mask=is_point, other=0.0).to(tl.float32))
        dtype = grad_offsets.dtype.element_ty
        tl.store(grad_offsets + offs_f, (down * below * (1.0 - move * move)).to(dtype), mask=is_point)
        move = moved_by(tl.load(offsets + offs_f + stride_fc, mask=is_point, other=0.0).to(tl.float32))
        tl.store(grad_offsets + offs_f + stride_fc, (right * beside * (1.0 - move * move)).to(dtype), mask=is_point)
        pulled = q * pull[None, :, None]
        add_to(grad_key + offs, (upper * near)[:, :, None] * pulled, mask)
        add_to(grad_key + offs + stride_kw, (upper * far)[:, :, None] * pulled, mask)
        add_to(grad_key + offs + stride_kh, (lower * near)[:, :, None] * pulled, mask)
        add_to(grad_key + offs + stride_kh + stride_kw, (lower * far)[:, :, None] * pulled, mask)
        first += area
        plane += 2 * area
        offs_f += 2 * stride_fc
        b_ptrs += groups * depth
    tl.store(grad_query + offs_q, grad_q.to(grad_query.dtype.element_ty), mask=mask)
