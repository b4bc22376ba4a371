"""Kernels of attention over points: where they are, logits of the attention, sums of samples, gradients.

Images are read channels last, so that threads side by side read the channels of one pixel, 16 bytes each. A program has
a rectangle of output pixels: their points lie close together, and the pixels around them come from L2 once. Positions
and logits are stored; otherwise every thread of a pixel would compute them again.

Z groups, P points, N = sH · sW output pixels. Positions are (B, Z, P, 2, N), rows before columns, in pixels of x.
`sharing` groups side by side share one attention over their points: all groups, or each has its own. Of the A = Z /
sharing attentions the logits are (B, A, P, N), with their log-sum-exp over the points (B, A, N). All are float32.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, LOWEST, blocks, image_tile, output_tile
from upsamplers.functional.backend import next_power_of_2

KEYS = ("channels", "groups", "sharing", "points", *AUTOTUNE_KEYS, "stride_ow")
KEY_KEYS = ("depth", "groups", "sharing", "points", *AUTOTUNE_KEYS, "stride_qw")
# Of pixels, rows by columns. Eight pixels of a row are a sector of float32, which a contiguous output is written in.
SIZES = ("CHUNKS", "STEP_C", "BLOCK_H", "BLOCK_W")
# A thread has 4 of STEP_C channels in each of CHUNKS: more chunks share the place and the weights of a point.
SUMS = (
    (4, 32, 4, 8, 4), (4, 32, 8, 8, 8), (2, 64, 4, 8, 4), (2, 32, 4, 8, 4),
    (2, 32, 8, 8, 4), (2, 32, 4, 16, 4), (1, 64, 8, 8, 4), (1, 32, 4, 8, 4), (1, 32, 8, 8, 4), (1, 16, 4, 8, 4),
)  # fmt: skip
# A program has all channels of the keys.
LOGITS = ((4, 8, 4), (8, 8, 4), (4, 16, 4), (8, 8, 8), (8, 16, 8), (2, 8, 4), (4, 4, 2), (4, 8, 8), (2, 4, 4))
# Only additions: every pixel's channels by the threads of one warp, which add to neighbouring numbers together.
ADDS = (
    (4, 32, 2, 8, 4), (2, 32, 4, 8, 8), (2, 32, 2, 8, 4), (1, 32, 4, 8, 4),
    (1, 32, 4, 8, 8), (1, 16, 4, 8, 4),
)  # fmt: skip
# Numbers that a thread keeps of a tile of keys; the gradients need as many again for those of the queries.
MOST_KEYS = 64
DQUERY = ((4, 8, 4), (8, 8, 8), (4, 4, 8), (2, 4, 4))


def fits_channels(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a program has no more channels than a group, rounded up; the last configuration is for fewer."""
    channels = config.kwargs["CHUNKS"] * config.kwargs["STEP_C"]
    return bool(channels <= max(16, next_power_of_2(arguments["channels"])))


def fits_keys(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether the keys of a program's pixels stay in registers; the last configuration is for what fits no other."""
    numbers = arguments["GROUPS"] * arguments["DEPTH"] * config.kwargs["BLOCK_H"] * config.kwargs["BLOCK_W"]
    return bool(numbers <= MOST_KEYS * 32 * config.num_warps) or config.kwargs == {"BLOCK_H": 2, "BLOCK_W": 4}


@triton.jit
def bilinear_weight(distance):
    """Bilinear weight of a pixel, for a sample at this distance below or right of it; NaN stays NaN."""
    return tl.maximum(1.0 - tl.abs(distance), 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def bilinear_slope(distance):
    """The derivative of the bilinear weight by the distance; at a kink from the right."""
    falls = tl.where((distance >= 0.0) & (distance < 1.0), -1.0, 0.0)
    return tl.where((distance >= -1.0) & (distance < 0.0), 1.0, falls)


@triton.jit
def first_pixel(position, length):
    """The first of the two pixels along an axis that a sample is taken from; both are within the image."""
    return tl.maximum(tl.minimum(tl.floor(position), length - 2.0), 0.0)


@triton.jit
def tanh(offset):
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
    down = row + (point // K - K // 2) + reach * tanh(tl.load(f_ptrs, mask=mask, other=0.0).to(tl.float32))
    right = tl.load(f_ptrs + stride_fc, mask=mask, other=0.0).to(tl.float32)
    right = column + (point % K - K // 2) + reach * tanh(right)
    # Divided last and exactly, so that what is an integer comes out as one.
    y = tl.div_rn(down * (height - 1.0), tl.maximum(out_height - 1.0, 1.0) + tl.zeros_like(down))
    x = tl.div_rn(right * (width - 1.0), tl.maximum(out_width - 1.0, 1.0) + tl.zeros_like(right))
    positions += (batch * tl.num_programs(1) + plane) * 2 * area + pixel
    tl.store(positions, y, mask=mask)
    tl.store(positions + area, x, mask=mask)


@tuned(blocks(("BLOCK_P",), (256, 4), (512, 4), (1024, 4)), (*AUTOTUNE_KEYS, "stride_fw"))
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def point_positions_bwd_kernel(
    offsets, grad_positions, grad_offsets,
    height, width, out_height, out_width, reach, tune_pixels, tune_images,
    stride_fb, stride_fc, stride_fh, stride_fw,
    BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The gradients of offsets, laid out as they are, given those of positions (B, Z, P, 2, N)."""
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    area = out_height * out_width
    mask = pixel < area
    batch, plane = tl.program_id(2).to(tl.int64), tl.program_id(1)
    offs_f = batch * stride_fb + 2 * plane.to(tl.int64) * stride_fc
    offs_f += pixel // out_width * stride_fh + pixel % out_width * stride_fw
    grad_positions += (batch * tl.num_programs(1) + plane) * 2 * area + pixel
    scale_y = (height - 1.0) / tl.maximum(out_height - 1.0, 1.0) * reach
    scale_x = (width - 1.0) / tl.maximum(out_width - 1.0, 1.0) * reach
    store_through_tanh(
        offsets + offs_f, grad_offsets + offs_f, tl.load(grad_positions, mask=mask, other=0.0) * scale_y, mask
    )
    offs_f += stride_fc
    right = tl.load(grad_positions + area, mask=mask, other=0.0) * scale_x
    store_through_tanh(offsets + offs_f, grad_offsets + offs_f, right, mask)


@triton.jit
def store_through_tanh(offset_ptrs, grad_ptrs, grad, mask):
    """Writes the gradients of offsets, given those of what tanh makes of them."""
    move = tanh(tl.load(offset_ptrs, mask=mask, other=0.0).to(tl.float32))
    tl.store(grad_ptrs, (grad * (1.0 - move * move)).to(grad_ptrs.dtype.element_ty), mask=mask)


@tuned(blocks(("BLOCK_H", "BLOCK_W"), *LOGITS), KEY_KEYS, fits=fits_keys)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def attended_points_logits_kernel(
    key, query, bias, positions, logits, lse,
    depth, groups, sharing, points, height, width, out_height, out_width, factor, tune_pixels, tune_images,
    stride_kb, stride_kh, stride_kw, stride_qb, stride_qc, stride_qh, stride_qw,
    HAS_BIAS: tl.constexpr, GROUPS: tl.constexpr, DEPTH: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """logits[m] = factor · query · (key sampled at point m + bias[m]), over the channels of the groups that share."""
    batch, index = image_tile(groups // sharing)
    row, column, is_out = output_tile(out_height, out_width, BLOCK_H, BLOCK_W)
    pixel, area = row * out_width + column, out_height * out_width
    group, dim = tl.arange(0, GROUPS), tl.arange(0, DEPTH)
    channel = (index * sharing + group)[:, None, None] * depth + dim[None, None, :]  # (Z, 1, D)
    is_channel = (group < sharing)[:, None, None] & (dim < depth)[None, None, :]
    is_point = (group < sharing)[:, None] & is_out[None, :]  # (Z, N)
    q_ptrs = query + batch * stride_qb + channel * stride_qc + (row * stride_qh + column * stride_qw)[None, :, None]
    mask = is_channel & is_out[None, :, None]
    q = tl.load(q_ptrs, mask=mask, other=0.0).to(tl.float32)  # (Z, N, D)
    key += batch * stride_kb
    first = batch * groups + index * sharing
    y_ptrs = positions + (first + group)[:, None] * (2 * points * area) + pixel[None, :]
    b_ptrs = bias + channel
    logits += tl.program_id(2).to(tl.int64) * points * area + pixel
    highest = tl.full([BLOCK_H * BLOCK_W], LOWEST, tl.float32)
    total = tl.zeros([BLOCK_H * BLOCK_W], tl.float32)
    for _ in range(points):
        y = tl.load(y_ptrs, mask=is_point, other=0.0)
        x = tl.load(y_ptrs + area, mask=is_point, other=0.0)
        top, left = first_pixel(y, height), first_pixel(x, width)
        offs = (top.to(tl.int32) * stride_kh + left.to(tl.int32) * stride_kw)[:, :, None]
        down, up, right = bilinear_weight(y - top - 1.0), bilinear_weight(y - top), bilinear_weight(x - left - 1.0)
        left = bilinear_weight(x - left)
        k_ptrs = key + (offs + channel)
        if HAS_BIAS:
            k = tl.load(b_ptrs, mask=is_channel, other=0.0).to(tl.float32)
        else:
            k = tl.zeros([GROUPS, BLOCK_H * BLOCK_W, DEPTH], tl.float32)
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
    tl.store(lse + tl.program_id(2).to(tl.int64) * area + pixel, highest + tl.log(total), mask=is_out)


@triton.jit
def channel_tile(channels, CHUNKS: tl.constexpr, STEP_C: tl.constexpr, UNMASKED: tl.constexpr):
    """The channels (1, CHUNKS, STEP_C) of a program within its group, and which there are.

    Triton deals out threads from the last dimension, then from the first: chunks stay together in one thread.
    """
    channel = (tl.arange(0, CHUNKS) * STEP_C)[None, :, None] + tl.arange(0, STEP_C)[None, None, :]
    channel += tl.program_id(1) * (CHUNKS * STEP_C)
    return channel, (channel >= 0) if UNMASKED else (channel < channels)


# Whether the channels of all programs exist, so that none needs a mask.
UNMASKED = {"UNMASKED": lambda given: given["channels"] % (given["CHUNKS"] * given["STEP_C"]) == 0}


@tuned(blocks(SIZES, *SUMS), KEYS, fits=fits_channels, derived=UNMASKED)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def attended_points_fwd_kernel(
    x, positions, logits, lse, out,
    channels, groups, sharing, points, height, width, out_height, out_width, tune_pixels, tune_images,
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
    index = (batch * groups + group) // sharing
    logits += index * points * area + pixel
    normaliser = tl.load(lse + index * area + pixel, mask=is_out, other=0.0)
    result = tl.zeros([BLOCK_H * BLOCK_W, CHUNKS, STEP_C], tl.float32)
    for _ in range(points):
        y = tl.load(positions, mask=is_out, other=0.0)
        x_position = tl.load(positions + area, mask=is_out, other=0.0)
        weight = tl.exp(tl.load(logits, mask=is_out, other=0.0) - normaliser)
        top, left = first_pixel(y, height), first_pixel(x_position, width)
        offs = (top.to(tl.int32) * stride_xh + left.to(tl.int32) * stride_xw)[:, None, None]
        down, up, right = (
            bilinear_weight(y - top - 1.0) * weight,
            bilinear_weight(y - top) * weight,
            bilinear_weight(x_position - left - 1.0),
        )
        left = bilinear_weight(x_position - left)
        x_ptrs = x + (offs + channel)
        result += (up * left)[:, None, None] * load_channels(x_ptrs, is_channel, UNMASKED)
        result += (up * right)[:, None, None] * load_channels(x_ptrs + stride_xw, is_channel, UNMASKED)
        x_ptrs += stride_xh
        result += (down * left)[:, None, None] * load_channels(x_ptrs, is_channel, UNMASKED)
        result += (down * right)[:, None, None] * load_channels(x_ptrs + stride_xw, is_channel, UNMASKED)
        positions += 2 * area
        logits += area
    o_ptrs = out + batch * stride_ob + (group * channels + channel) * stride_oc
    o_ptrs += (row * stride_oh + column * stride_ow)[:, None, None]
    tl.store(o_ptrs, result.to(out.dtype.element_ty), mask=is_out[:, None, None] & is_channel)


@triton.jit
def load_channels(ptrs, is_channel, UNMASKED: tl.constexpr):
    """Channels of pixels, in float32."""
    if UNMASKED:
        value = tl.load(ptrs)
    else:
        value = tl.load(ptrs, mask=is_channel, other=0.0)
    return value.to(tl.float32)


# Tuning runs a kernel repeatedly: sums are zeroed before each run.
@tuned(
    blocks(SIZES, *SUMS), KEYS, fits=fits_channels, derived=UNMASKED, reset_to_zero=["grad_weights", "grad_positions"]
)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def attended_points_bwd_dpoints_kernel(
    x, positions, attention, grad, grad_weights, grad_positions,
    channels, groups, sharing, points, height, width, out_height, out_width, tune_pixels, tune_images,
    stride_xb, stride_xh, stride_xw, stride_ob, stride_oc, stride_oh, stride_ow,
    CHUNKS: tl.constexpr, STEP_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """Products of the gradient with samples of x, over channels, and how they change with the points.

    grad_weights (B, A, P, N): of the attention. grad_positions (B, Z, P, 2, N): so far as they come through x.
    """
    batch, group = image_tile(groups)
    row, column, is_out = output_tile(out_height, out_width, BLOCK_H, BLOCK_W)
    pixel, area = row * out_width + column, out_height * out_width
    channel, is_channel = channel_tile(channels, CHUNKS, STEP_C, UNMASKED)
    g_ptrs = grad + batch * stride_ob + (group * channels + channel) * stride_oc
    g_ptrs += (row * stride_oh + column * stride_ow)[:, None, None]
    gradient = tl.load(g_ptrs, mask=is_out[:, None, None] & is_channel, other=0.0).to(tl.float32)  # (N, CHUNKS, STEP_C)
    x += batch * stride_xb + group * channels
    plane = (batch * groups + group) * (2 * points * area) + pixel
    positions += plane
    grad_positions += plane
    first = (batch * groups + group) // sharing * (points * area) + pixel
    attention += first
    grad_weights += first
    for _ in range(points):
        y = tl.load(positions, mask=is_out, other=0.0)
        x_position = tl.load(positions + area, mask=is_out, other=0.0)
        weight = tl.load(attention, mask=is_out, other=0.0)
        top, left = first_pixel(y, height), first_pixel(x_position, width)
        x_ptrs = x + ((top.to(tl.int32) * stride_xh + left.to(tl.int32) * stride_xw)[:, None, None] + channel)
        a = dots(x_ptrs, gradient, is_channel, UNMASKED)
        b = dots(x_ptrs + stride_xw, gradient, is_channel, UNMASKED)
        x_ptrs += stride_xh
        c = dots(x_ptrs, gradient, is_channel, UNMASKED)
        d = dots(x_ptrs + stride_xw, gradient, is_channel, UNMASKED)
        y, x_position = y - top, x_position - left
        upper, lower = bilinear_weight(y), bilinear_weight(y - 1.0)
        above, under = bilinear_weight(x_position) * a, bilinear_weight(x_position) * c
        above += bilinear_weight(x_position - 1.0) * b
        under += bilinear_weight(x_position - 1.0) * d
        down = bilinear_slope(y) * above + bilinear_slope(y - 1.0) * under
        right = bilinear_slope(x_position) * (upper * a + lower * c) + bilinear_slope(x_position - 1.0) * (
            upper * b + lower * d
        )
        tl.atomic_add(grad_weights, upper * above + lower * under, mask=is_out, sem="relaxed")
        tl.atomic_add(grad_positions, weight * down, mask=is_out, sem="relaxed")
        tl.atomic_add(grad_positions + area, weight * right, mask=is_out, sem="relaxed")
        positions += 2 * area
        grad_positions += 2 * area
        attention += area
        grad_weights += area


@triton.jit
def dots(ptrs, vectors, is_channel, UNMASKED: tl.constexpr):
    """Products of pixels with vectors (N, CHUNKS, STEP_C) over their channels: (N)."""
    return tl.sum(tl.sum(vectors * load_channels(ptrs, is_channel, UNMASKED), axis=2), axis=1)


# `channels` is not specialised: the compiler cannot vectorise the additions, and a thread adds one channel at a time.
@tuned(blocks(SIZES, *ADDS), KEYS, fits=fits_channels, reset_to_zero=["total"])
@triton.jit(do_not_specialize=(*AUTOTUNE_KEYS, "channels"))
def attended_points_bwd_dx_kernel(
    vectors, positions, weights, total,
    channels, groups, sharing, points, height, width, out_height, out_width, tune_pixels, tune_images,
    stride_xb, stride_xh, stride_xw, stride_ob, stride_oc, stride_oh, stride_ow,
    CHUNKS: tl.constexpr, STEP_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """Adds what output pixels have (B, C, sH, sW), times their weights (B, A, P, N), to the pixels that points are in.

    The gradient of x, given that of the output and the attention; or of the keys, given queries and the gradients of
    logits. In no order.
    """
    batch, group = image_tile(groups)
    row, column, is_out = output_tile(out_height, out_width, BLOCK_H, BLOCK_W)
    pixel, area = row * out_width + column, out_height * out_width
    channel, is_channel = channel_tile(channels, CHUNKS, STEP_C, False)
    mask = is_out[:, None, None] & is_channel
    v_ptrs = vectors + batch * stride_ob + (group * channels + channel) * stride_oc
    v_ptrs += (row * stride_oh + column * stride_ow)[:, None, None]
    vector = tl.load(v_ptrs, mask=mask, other=0.0).to(tl.float32)  # (N, CHUNKS, STEP_C)
    total += batch * stride_xb + group * channels
    positions += (batch * groups + group) * (2 * points * area) + pixel
    weights += (batch * groups + group) // sharing * (points * area) + pixel
    for _ in range(points):
        y = tl.load(positions, mask=is_out, other=0.0)
        x = tl.load(positions + area, mask=is_out, other=0.0)
        weight = tl.load(weights, mask=is_out, other=0.0)
        top, left = first_pixel(y, height), first_pixel(x, width)
        x_ptrs = total + ((top.to(tl.int32) * stride_xh + left.to(tl.int32) * stride_xw)[:, None, None] + channel)
        upper, lower = bilinear_weight(y - top) * weight, bilinear_weight(y - top - 1.0) * weight
        near, far = bilinear_weight(x - left), bilinear_weight(x - left - 1.0)
        add_to(x_ptrs, upper * near, vector, mask)
        add_to(x_ptrs + stride_xw, upper * far, vector, mask)
        x_ptrs += stride_xh
        add_to(x_ptrs, lower * near, vector, mask)
        add_to(x_ptrs + stride_xw, lower * far, vector, mask)
        positions += 2 * area
        weights += area


@triton.jit
def add_to(ptrs, weight, vector, mask):
    """Adds weighted vectors (N, CHUNKS, STEP_C), except with no weight, which pixels outside the image have."""
    mask = mask & (weight != 0.0)[:, None, None]
    tl.atomic_add(ptrs, weight[:, None, None] * vector, mask=mask, sem="relaxed")


# Tuning runs a kernel repeatedly: what it adds to is restored before each run.
@tuned(blocks(("BLOCK_H", "BLOCK_W"), *DQUERY), KEY_KEYS, fits=fits_keys, restore_value=["grad_positions"])
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def attended_points_bwd_dquery_kernel(
    key, query, bias, positions, attention, grad_weights, grad_positions, grad_query, grad_logits,
    depth, groups, sharing, points, height, width, out_height, out_width, factor, tune_pixels, tune_images,
    stride_kb, stride_kh, stride_kw, stride_qb, stride_qc, stride_qh, stride_qw,
    HAS_BIAS: tl.constexpr, GROUPS: tl.constexpr, DEPTH: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """The gradients of the query and of logits (times factor), each its own pixel's.

    What comes through the keys is added to grad_positions. grad_query is laid out as the query is.
    """
    batch, index = image_tile(groups // sharing)
    row, column, is_out = output_tile(out_height, out_width, BLOCK_H, BLOCK_W)
    pixel, area = row * out_width + column, out_height * out_width
    group, dim = tl.arange(0, GROUPS), tl.arange(0, DEPTH)
    channel = (index * sharing + group)[:, None, None] * depth + dim[None, None, :]  # (Z, 1, D)
    is_channel = (group < sharing)[:, None, None] & (dim < depth)[None, None, :]
    is_point = (group < sharing)[:, None] & is_out[None, :]  # (Z, N)
    mask = is_channel & is_out[None, :, None]
    offs_q = batch * stride_qb + channel * stride_qc + (row * stride_qh + column * stride_qw)[None, :, None]
    q = tl.load(query + offs_q, mask=mask, other=0.0).to(tl.float32)  # (Z, N, D)
    first = tl.program_id(2).to(tl.int64) * points * area + pixel
    attention += first
    grad_weights += first
    grad_logits += first
    mean = tl.zeros([BLOCK_H * BLOCK_W], tl.float32)
    for point in range(points):
        weight = tl.load(attention + point * area, mask=is_out, other=0.0)
        mean += weight * tl.load(grad_weights + point * area, mask=is_out, other=0.0)
    plane = (batch * groups + index * sharing + group)[:, None] * (2 * points * area) + pixel[None, :]
    positions += plane
    grad_positions += plane
    key += batch * stride_kb
    b_ptrs = bias + channel
    grad_q = tl.zeros([GROUPS, BLOCK_H * BLOCK_W, DEPTH], tl.float32)
    for _ in range(points):
        weight = tl.load(attention, mask=is_out, other=0.0)
        pull = weight * (tl.load(grad_weights, mask=is_out, other=0.0) - mean) * factor
        tl.store(grad_logits, pull, mask=is_out)
        y = tl.load(positions, mask=is_point, other=0.0)
        x = tl.load(positions + area, mask=is_point, other=0.0)
        top, left = first_pixel(y, height), first_pixel(x, width)
        k_ptrs = key + ((top.to(tl.int32) * stride_kh + left.to(tl.int32) * stride_kw)[:, :, None] + channel)
        y, x = y - top, x - left
        near, far = bilinear_weight(x)[:, :, None], bilinear_weight(x - 1.0)[:, :, None]
        a = tl.load(k_ptrs, mask=is_channel, other=0.0).to(tl.float32)
        b = tl.load(k_ptrs + stride_kw, mask=is_channel, other=0.0).to(tl.float32)
        across = bilinear_slope(x)[:, :, None] * a + bilinear_slope(x - 1.0)[:, :, None] * b
        above = near * a + far * b
        k_ptrs += stride_kh
        a = tl.load(k_ptrs, mask=is_channel, other=0.0).to(tl.float32)
        b = tl.load(k_ptrs + stride_kw, mask=is_channel, other=0.0).to(tl.float32)
        under = near * a + far * b
        upper, lower = bilinear_weight(y)[:, :, None], bilinear_weight(y - 1.0)[:, :, None]
        across = upper * across + lower * (bilinear_slope(x)[:, :, None] * a + bilinear_slope(x - 1.0)[:, :, None] * b)
        sample = upper * above + lower * under
        if HAS_BIAS:
            sample += tl.load(b_ptrs, mask=is_channel, other=0.0).to(tl.float32)
        grad_q += pull[None, :, None] * sample
        down = tl.sum(q * (bilinear_slope(y)[:, :, None] * above + bilinear_slope(y - 1.0)[:, :, None] * under), axis=2)
        down = down * pull[None, :] + tl.load(grad_positions, mask=is_point, other=0.0)
        right = tl.sum(q * across, axis=2) * pull[None, :] + tl.load(grad_positions + area, mask=is_point, other=0.0)
        tl.store(grad_positions, down, mask=is_point)
        tl.store(grad_positions + area, right, mask=is_point)
        attention += area
        grad_weights += area
        grad_logits += area
        positions += 2 * area
        grad_positions += 2 * area
        b_ptrs += groups * depth
    tl.store(grad_query + offs_q, grad_q.to(grad_query.dtype.element_ty), mask=mask)
