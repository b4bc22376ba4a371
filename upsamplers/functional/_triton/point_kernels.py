"""Kernels for what reads one displaced point of the input for each output pixel; and bilinear interpolation's gradient.

From the projections straight to the output: initial position, scope, sigmoid, pixel shuffle, border rule and bilinear
read happen in registers, in float32 for every dtype; no coordinate is ever stored. A program has a block of output
pixels and some channels of one group. Without offsets the points are those of bilinear interpolation.

A point is computed once and serves all channels of a program. The loop takes one channel at a time where rows are
contiguous, so that a pointer moves by what is the same for all threads; as many as threads read at once where channels
are contiguous. Nothing but the output is masked: threads beyond the last pixel read the last one.

Strides of x are zero along an axis of one pixel, where a point has no neighbour to the right or below.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks, has_row, pixel_tile, row_tile

# What decides which blocks are best; sizes by their power of two, so that another image size is not tuned again.
KEYS = ("channels", *AUTOTUNE_KEYS, "S", "stride_xw")
POINT_KEYS = (*KEYS, "HAS_SCOPES")
SIZES = ("BLOCK_C", "STEP_C", "BLOCK_P")
# Contiguous rows: long runs of pixels, one to four a thread; more channels compute a point less often, fewer leave more
# programs. Contiguous channels: 16 bytes a thread, two to four threads a pixel.
ROWS = ((32, 1, 256, 4), (64, 1, 256, 4), (16, 1, 256, 4), (32, 1, 512, 4), (16, 1, 128, 4))
CHANNELS = ((64, 16, 32, 4), (64, 8, 64, 4), (64, 32, 32, 4), (64, 16, 64, 4), (32, 16, 32, 4))
# A program has all channels of a group: small features need short runs for enough programs.
ALL_ROWS = ((1, 1, 256, 4), (1, 1, 512, 4), (1, 1, 128, 4), (1, 1, 64, 2))
ALL_CHANNELS = ((16, 16, 32, 4), (8, 8, 64, 4), (32, 32, 32, 4), (16, 16, 64, 4), (16, 16, 16, 2))
BLOCKS = blocks(SIZES, *ROWS, *CHANNELS)
# A few channels of a long run of pixels where rows are contiguous, many of a short one where channels are.
BILINEAR_BLOCKS = blocks(("BLOCK_C", "BLOCK_P"), (8, 64, 4), (16, 64, 4), (4, 128, 4), (64, 16, 4), (32, 32, 4))
# Whether STEP_C divides the channels, so that no channel needs a mask.
UNMASKED = {"UNMASKED": lambda given: given["channels"] % given["STEP_C"] == 0}


def for_layout(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a configuration is for the layout of x: several channels a step only where channels are contiguous."""
    return bool((config.kwargs["STEP_C"] > 1) == (arguments["stride_xc"] == 1))


@triton.jit
def point(
    projected, initial, batch, group, out_row, out_column, groups, factor,
    stride_pb, stride_pc, stride_ph, stride_pw,
    S: tl.constexpr, HAS_OFFSETS: tl.constexpr, HAS_SCOPES: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """The column and row that output pixels read, before the border rule; and the offsets and gates behind them."""
    row, column = out_row // S, out_column // S
    sub = out_row % S * S + out_column % S
    raw_x = tl.zeros_like(out_row).to(tl.float32)
    raw_y, gate_x, gate_y = raw_x, raw_x + 1.0, raw_x + 1.0
    if HAS_OFFSETS:
        first = group * (S * S) + sub
        second = first + groups * (S * S)
        if WIDE:
            first, second, row, column = first.to(tl.int64), second.to(tl.int64), row.to(tl.int64), column.to(tl.int64)
        p_ptrs = projected + (batch * stride_pb + row * stride_ph + column * stride_pw)
        raw_x = tl.load(p_ptrs + first * stride_pc).to(tl.float32)
        raw_y = tl.load(p_ptrs + second * stride_pc).to(tl.float32)
        if HAS_SCOPES:  # in the channels after the offsets
            third, fourth = second + groups * (S * S), second + groups * (2 * S * S)
            gate_x = tl.sigmoid(tl.load(p_ptrs + third * stride_pc).to(tl.float32))
            gate_y = tl.sigmoid(tl.load(p_ptrs + fourth * stride_pc).to(tl.float32))
        start_x = tl.load(initial + first).to(tl.float32)
        start_y = tl.load(initial + second).to(tl.float32)
    else:
        start_x = (out_column % S - (S - 1) / 2) / S
        start_y = (out_row % S - (S - 1) / 2) / S
    x = column + (start_x + factor * raw_x * gate_x)
    y = row + (start_y + factor * raw_y * gate_y)
    return x, y, raw_x, raw_y, gate_x, gate_y


@triton.jit
def read_tile(
    px, py, out_row, out_column, height, width, stride_xc, stride_xh, stride_xw, stride_oc, stride_oh, stride_ow,
    WIDE: tl.constexpr, STEP_C: tl.constexpr,
):  # fmt: skip
    """Offsets (STEP_C, P) of the upper left pixel read and of the output pixel; and how far the point is from there.

    The border is repeated. On the right and lower border the distance is one, so that all four pixels are in the image.
    """
    px = tl.minimum(tl.maximum(px, 0.0), width - 1.0)
    py = tl.minimum(tl.maximum(py, 0.0), height - 1.0)
    left = tl.maximum(tl.minimum(tl.floor(px), width - 2.0), 0.0)
    top = tl.maximum(tl.minimum(tl.floor(py), height - 2.0), 0.0)
    part_x, part_y = px - left, py - top
    left, top, step = left.to(tl.int32), top.to(tl.int32), tl.arange(0, STEP_C)
    if WIDE:
        left, top, step = left.to(tl.int64), top.to(tl.int64), step.to(tl.int64)
        out_row, out_column = out_row.to(tl.int64), out_column.to(tl.int64)
    offs_x = (step * stride_xc)[:, None] + (top * stride_xh + left * stride_xw)[None, :]
    offs_out = (step * stride_oc)[:, None] + (out_row * stride_oh + out_column * stride_ow)[None, :]
    return offs_x, offs_out, part_x, part_y


@triton.jit
def first_channel(group, channels, first, STEP_C: tl.constexpr, UNMASKED: tl.constexpr):
    """The first channel of a program in x, of which the compiler knows that STEP_C divides it where that is so."""
    channel = (group * channels + first).to(tl.int64)
    if UNMASKED:  # so that threads read several channels at once
        channel = tl.multiple_of(channel, STEP_C)
    return channel


@triton.jit
def bilinear_weights(part_x, part_y):
    """Of the four pixels, as the reference computes them."""
    return (1 - part_x) * (1 - part_y), part_x * (1 - part_y), (1 - part_x) * part_y, part_x * part_y


@triton.jit
def load_four(x_ptrs, stride_xh, stride_xw, mask, UNMASKED: tl.constexpr):
    """The four pixels around a point in float32."""
    if UNMASKED:
        a, b = tl.load(x_ptrs), tl.load(x_ptrs + stride_xw)
        c, d = tl.load(x_ptrs + stride_xh), tl.load(x_ptrs + stride_xh + stride_xw)
    else:
        a, b = tl.load(x_ptrs, mask=mask, other=0.0), tl.load(x_ptrs + stride_xw, mask=mask, other=0.0)
        c = tl.load(x_ptrs + stride_xh, mask=mask, other=0.0)
        d = tl.load(x_ptrs + stride_xh + stride_xw, mask=mask, other=0.0)
    return a.to(tl.float32), b.to(tl.float32), c.to(tl.float32), d.to(tl.float32)


@triton.jit
def sample_channels(
    x, out, px, py, out_row, out_column, is_out, group, channels, first, last, height, width,
    stride_xc, stride_xh, stride_xw, stride_oc, stride_oh, stride_ow,
    WIDE: tl.constexpr, STEP_C: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """Writes channels [first, last) of a group, read at the points (px, py), to the output pixels."""
    offs_x, offs_out, part_x, part_y = read_tile(
        px, py, out_row, out_column, height, width, stride_xc, stride_xh, stride_xw, stride_oc, stride_oh, stride_ow,
        WIDE, STEP_C,
    )  # fmt: skip
    weight_a, weight_b, weight_c, weight_d = bilinear_weights(part_x, part_y)
    step = tl.arange(0, STEP_C)
    if WIDE:
        step = step.to(tl.int64)
    channel = first_channel(group, channels, first, STEP_C, UNMASKED)
    x += channel * stride_xc
    out += channel * stride_oc
    for start in range(first, last, STEP_C):
        is_channel = (start + step < channels)[:, None]
        a, b, c, d = load_four(x + offs_x, stride_xh, stride_xw, is_channel, UNMASKED)
        result = a * weight_a[None, :] + b * weight_b[None, :] + c * weight_c[None, :] + d * weight_d[None, :]
        mask = is_out[None, :] if UNMASKED else is_out[None, :] & is_channel
        tl.store(out + offs_out, result.to(out.dtype.element_ty), mask=mask)
        x += STEP_C * stride_xc
        out += STEP_C * stride_oc


@tuned(BLOCKS, (*POINT_KEYS, "HAS_OFFSETS"), fits=for_layout, derived=UNMASKED)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def sample_points_fwd_kernel(
    x, projected, initial, out,
    channels, height, width, groups, factor, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_pb, stride_pc, stride_ph, stride_pw,
    S: tl.constexpr, HAS_OFFSETS: tl.constexpr, HAS_SCOPES: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, STEP_C: tl.constexpr, BLOCK_P: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """out[c, i, j] = x[c] read bilinearly at the point of (i, j)."""
    batch, group, out_pixel = pixel_tile(groups, BLOCK_P)
    count = S * S * height * width
    pixel = tl.minimum(out_pixel, count - 1)
    px, py, _, _, _, _ = point(
        projected, initial, batch, group, pixel // (S * width), pixel % (S * width), groups, factor,
        stride_pb, stride_pc, stride_ph, stride_pw, S, HAS_OFFSETS, HAS_SCOPES, WIDE,
    )  # fmt: skip
    first = tl.program_id(1) * BLOCK_C
    sample_channels(
        x + batch * stride_xb, out + batch * stride_ob, px, py, out_pixel // (S * width), out_pixel % (S * width),
        out_pixel < count, group, channels, first, tl.minimum(first + BLOCK_C, channels), height, width,
        stride_xc, stride_xh, stride_xw, stride_oc, stride_oh, stride_ow, WIDE, STEP_C, UNMASKED,
    )  # fmt: skip


@tuned(blocks(SIZES, *ALL_ROWS, *ALL_CHANNELS), POINT_KEYS, fits=for_layout, derived=UNMASKED)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def sample_points_bwd_dprojected_kernel(
    x, projected, initial, grad, grad_projected,
    channels, height, width, groups, factor, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_pb, stride_pc, stride_ph, stride_pw,
    S: tl.constexpr, HAS_SCOPES: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, STEP_C: tl.constexpr, BLOCK_P: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """The gradients of offsets and scopes: each output pixel has its own, a sum over its group's channels."""
    batch, group, out_pixel = pixel_tile(groups, BLOCK_P)
    count = S * S * height * width
    mask, pixel = out_pixel < count, tl.minimum(out_pixel, count - 1)
    out_row, out_column, step = pixel // (S * width), pixel % (S * width), tl.arange(0, STEP_C)
    px, py, raw_x, raw_y, gate_x, gate_y = point(
        projected, initial, batch, group, out_row, out_column, groups, factor,
        stride_pb, stride_pc, stride_ph, stride_pw, S, True, HAS_SCOPES, WIDE,
    )  # fmt: skip
    offs_x, offs_out, part_x, part_y = read_tile(
        px, py, out_row, out_column, height, width, stride_xc, stride_xh, stride_xw, stride_oc, stride_oh, stride_ow,
        WIDE, STEP_C,
    )  # fmt: skip
    first = group * (S * S) + out_row % S * S + out_column % S
    second = first + groups * (S * S)
    if WIDE:
        step, first, second = step.to(tl.int64), first.to(tl.int64), second.to(tl.int64)
        out_row, out_column = out_row.to(tl.int64), out_column.to(tl.int64)
    channel = first_channel(group.to(tl.int64), channels, 0, STEP_C, UNMASKED)
    x += batch * stride_xb + channel * stride_xc
    grad += batch * stride_ob + channel * stride_oc

    slope_x = tl.zeros([STEP_C, BLOCK_P], tl.float32)
    slope_y = tl.zeros([STEP_C, BLOCK_P], tl.float32)
    for start in range(0, channels, STEP_C):
        is_channel = (start + step < channels)[:, None]
        a, b, c, d = load_four(x + offs_x, stride_xh, stride_xw, is_channel, UNMASKED)
        if UNMASKED:
            gradient = tl.load(grad + offs_out).to(tl.float32)
        else:
            gradient = tl.load(grad + offs_out, mask=is_channel, other=0.0).to(tl.float32)
        slope_x += gradient * ((b - a) * (1 - part_y)[None, :] + (d - c) * part_y[None, :])
        slope_y += gradient * ((c - a) * (1 - part_x)[None, :] + (d - b) * part_x[None, :])
        x += STEP_C * stride_xc
        grad += STEP_C * stride_oc
    # On a border or beyond it, what is read does not change with the point.
    grad_px = tl.where((px > 0.0) & (px < width - 1.0), tl.sum(slope_x, axis=0), 0.0) * factor
    grad_py = tl.where((py > 0.0) & (py < height - 1.0), tl.sum(slope_y, axis=0), 0.0) * factor
    dtype = grad_projected.dtype.element_ty
    p_ptrs = grad_projected + (batch * stride_pb + out_row // S * stride_ph + out_column // S * stride_pw)
    tl.store(p_ptrs + first * stride_pc, (grad_px * gate_x).to(dtype), mask=mask)
    tl.store(p_ptrs + second * stride_pc, (grad_py * gate_y).to(dtype), mask=mask)
    if HAS_SCOPES:
        third, fourth = second + groups * (S * S), second + groups * (2 * S * S)
        grad_scope_x, grad_scope_y = raw_x * gate_x * (1.0 - gate_x), raw_y * gate_y * (1.0 - gate_y)
        tl.store(p_ptrs + third * stride_pc, (grad_px * grad_scope_x).to(dtype), mask=mask)
        tl.store(p_ptrs + fourth * stride_pc, (grad_py * grad_scope_y).to(dtype), mask=mask)


@triton.jit
def add_to(ptrs, value, scale, mask, EXACT: tl.constexpr):
    """Adds in no order: in float32, or whole multiples of a step, `scale` of which are one."""
    if EXACT:
        tl.atomic_add(ptrs, (value * scale).to(tl.int64), mask=mask, sem="relaxed")
    else:
        tl.atomic_add(ptrs, value, mask=mask, sem="relaxed")


# Timing adds to the sum: it begins from nothing each time.
@tuned(BLOCKS, POINT_KEYS, fits=for_layout, derived=UNMASKED, reset_to_zero=["grad_x"])
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def sample_points_bwd_dx_kernel(
    projected, initial, grad, steps, grad_x,
    channels, height, width, groups, factor, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_pb, stride_pc, stride_ph, stride_pw,
    S: tl.constexpr, HAS_SCOPES: tl.constexpr, EXACT: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, STEP_C: tl.constexpr, BLOCK_P: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """Adds each output pixel's gradient to the four pixels it read; in whole steps where the order must not matter."""
    batch, group, out_pixel = pixel_tile(groups, BLOCK_P)
    count = S * S * height * width
    is_out, pixel = (out_pixel < count)[None, :], tl.minimum(out_pixel, count - 1)
    out_row, out_column, step = pixel // (S * width), pixel % (S * width), tl.arange(0, STEP_C)
    px, py, _, _, _, _ = point(
        projected, initial, batch, group, out_row, out_column, groups, factor,
        stride_pb, stride_pc, stride_ph, stride_pw, S, True, HAS_SCOPES, WIDE,
    )  # fmt: skip
    offs_x, offs_out, part_x, part_y = read_tile(
        px, py, out_row, out_column, height, width, stride_xc, stride_xh, stride_xw, stride_oc, stride_oh, stride_ow,
        WIDE, STEP_C,
    )  # fmt: skip
    weight_a, weight_b, weight_c, weight_d = bilinear_weights(part_x, part_y)
    if WIDE:
        step = step.to(tl.int64)
    first = tl.program_id(1) * BLOCK_C
    channel = first_channel(group, channels, first, STEP_C, UNMASKED)
    grad_x += batch * stride_xb + channel * stride_xc
    grad += batch * stride_ob + channel * stride_oc
    scale = tl.load(steps)
    for start in range(first, tl.minimum(first + BLOCK_C, channels), STEP_C):
        mask = is_out if UNMASKED else is_out & (start + step < channels)[:, None]
        gradient = tl.load(grad + offs_out, mask=mask, other=0.0).to(tl.float32)
        x_ptrs = grad_x + offs_x
        add_to(x_ptrs, gradient * weight_a[None, :], scale, mask, EXACT)
        add_to(x_ptrs + stride_xw, gradient * weight_b[None, :], scale, mask, EXACT)
        add_to(x_ptrs + stride_xh, gradient * weight_c[None, :], scale, mask, EXACT)
        add_to(x_ptrs + stride_xh + stride_xw, gradient * weight_d[None, :], scale, mask, EXACT)
        grad_x += STEP_C * stride_xc
        grad += STEP_C * stride_oc


@tuned(BILINEAR_BLOCKS, KEYS)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def bilinear_bwd_dx_kernel(
    grad, grad_x,
    channels, height, width, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    S: tl.constexpr, SIDES: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The gradient of bilinear interpolation, gathered: a pixel is read by some of the 2s x 2s outputs around it.

    A thread sums for one of the s output columns of a pixel, so that gradients are read side by side.
    """
    batch, _, channel, row, first, column = row_tile(width, 1, WIDE, BLOCK_C, BLOCK_P)
    is_channel = channel < channels
    pixel = first + tl.arange(0, BLOCK_P * SIDES) // SIDES
    sub = tl.arange(0, BLOCK_P * SIDES) % SIDES
    own_column = first * S + tl.arange(0, BLOCK_P * SIDES) if SIDES == S else pixel * S + sub
    is_out = (pixel < width) & (sub < S)
    grad += batch * stride_ob
    offs_g = channel[:, None] * stride_oc + (own_column * stride_ow)[None, :]
    result = tl.zeros([BLOCK_C, BLOCK_P * SIDES], tl.float32)
    for step_y in range(2 * S):
        out_row = row * S + step_y - S // 2
        y = tl.minimum(tl.maximum((out_row.to(tl.float32) + 0.5) / S - 0.5, 0.0), height - 1.0)
        weight_y = tl.maximum(1.0 - tl.abs(y - row), 0.0)
        in_image = is_out & has_row(out_row, S * height, pixel)
        for side in tl.static_range(2):  # of the 2s columns, from s // 2 to the left, those s apart
            step_x = side * S - S // 2
            out_column = own_column + step_x
            x = tl.minimum(tl.maximum((out_column.to(tl.float32) + 0.5) / S - 0.5, 0.0), width - 1.0)
            weight = weight_y * tl.maximum(1.0 - tl.abs(x - pixel), 0.0)
            mask = in_image & (out_column >= 0) & (out_column < S * width) & (weight > 0.0)
            g_ptrs = grad + out_row * stride_oh + offs_g + step_x * stride_ow
            gradient = tl.load(g_ptrs, mask=is_channel[:, None] & mask[None, :], other=0.0)
            result += weight[None, :] * gradient.to(tl.float32)
    total = tl.sum(tl.reshape(result, (BLOCK_C, BLOCK_P, SIDES)), axis=2)
    offs_x = channel[:, None] * stride_xc + (row * stride_xh + column * stride_xw)[None, :]
    tl.store(
        grad_x + batch * stride_xb + offs_x, total.to(grad_x.dtype.element_ty),
        mask=is_channel[:, None] & (column < width)[None, :],
    )  # fmt: skip
