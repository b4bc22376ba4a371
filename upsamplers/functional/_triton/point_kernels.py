"""Kernels for what reads one displaced point of the input for each output pixel, and their gradients.

From the offsets straight to the output: initial position, scope, sigmoid, pixel shuffle, border rule and bilinear read
happen in registers, in float32 for every dtype; no coordinate is ever stored. Without offsets the points are those of
bilinear interpolation.

A program has a tile of output pixels, whose points lie in few rows of x, and some channels of one group. A point is
computed once and serves all channels of a program. The loop takes one or two channels at a time where rows are
contiguous, so that a pointer moves by what is the same for all threads; as many as threads read at once where channels
are contiguous.
Nothing but the output is masked: threads beyond the last pixel read the last one.

The gradient of x is gathered: a pixel adds up what the outputs of its 3 x 3 neighbours read of it, in a fixed order.
What outputs read farther away is added by a second kernel, which ends at once where nothing is.

Strides of x are zero along an axis of one pixel, where a point has no neighbour to the right or below.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks, image_tile

# What decides which blocks are best; sizes by their power of two, so that another image size is not tuned again.
KEYS = ("channels", *AUTOTUNE_KEYS, "S", "stride_xw", "HAS_SCOPES")
ANY_KEYS = (*KEYS, "HAS_OFFSETS")  # of kernels that also take none
SIZES = ("BLOCK_C", "STEP_C", "BLOCK_H", "BLOCK_W")
# Contiguous rows: one to four output pixels of a row a thread, eight in half precision. More channels compute a point
# less often, fewer leave more programs; of two a step, both are read before one is written. Contiguous channels: 16
# bytes a thread, two to four threads a pixel.
ROWS = (
    (16, 1, 4, 128, 4), (16, 1, 8, 32, 2), (16, 1, 8, 64, 4), (16, 1, 16, 64, 8), (32, 1, 4, 64, 8), (32, 1, 1, 256, 8),
    (64, 1, 8, 32, 8), (32, 1, 2, 128, 4), (32, 1, 8, 64, 2), (16, 2, 4, 128, 4), (16, 2, 4, 64, 2),
)  # fmt: skip
CHANNELS = ((64, 16, 4, 8, 4), (64, 8, 8, 8, 4), (64, 32, 4, 8, 4), (64, 16, 8, 8, 4), (32, 16, 4, 8, 4))
# A program has all channels of a group: small features need small tiles for enough programs.
ALL_ROWS = (
    (1, 1, 8, 32, 8), (1, 1, 2, 32, 2), (1, 1, 2, 128, 4), (1, 1, 1, 256, 4), (1, 1, 4, 64, 4), (1, 1, 4, 32, 4),
    (1, 1, 1, 32, 1),
)  # fmt: skip
ALL_CHANNELS = ((16, 16, 4, 8, 4), (8, 8, 8, 8, 4), (32, 32, 4, 8, 4), (16, 16, 8, 8, 4), (16, 16, 2, 8, 2))
FAR_BLOCKS = blocks(SIZES, (64, 1, 8, 32, 4), (64, 1, 4, 64, 4), (64, 16, 8, 8, 4), (64, 16, 4, 8, 4))
# Tiles of input pixels: a few channels of a long row where rows are contiguous, many of a short one where channels are.
GATHERED_SIZES = ("BLOCK_C", "BLOCK_H", "BLOCK_W")
GATHERED = (
    (16, 4, 32, 4), (16, 2, 64, 4), (8, 4, 64, 4), (16, 4, 32, 8), (32, 2, 32, 4), (16, 8, 16, 4), (8, 8, 32, 4),
    (16, 2, 32, 4), (8, 4, 32, 8), (8, 2, 32, 4), (32, 4, 8, 4), (64, 4, 4, 4), (64, 2, 8, 4), (32, 4, 4, 4),
)  # fmt: skip
# Whether STEP_C divides the channels, so that no channel needs a mask.
UNMASKED = {"UNMASKED": lambda given: given["channels"] % given["STEP_C"] == 0}


def for_layout(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a configuration is for the layout of x: many channels a step only where channels are contiguous."""
    return bool((config.kwargs["STEP_C"] > 2) == (arguments["stride_xc"] == 1))


def gathers_layout(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a configuration is for the layout of x, a long row of pixels where rows are contiguous; and no spilling.

    A thread keeps up to 32 sums, or those of the smallest blocks.
    """
    tile = config.kwargs["BLOCK_C"] * config.kwargs["BLOCK_H"] * config.kwargs["BLOCK_W"]
    is_small = tile <= 512 or tile * arguments["SUBS"] <= 32 * 32 * config.num_warps
    return is_small and bool((config.kwargs["BLOCK_W"] > 8) == (arguments["stride_xc"] != 1))


@triton.jit
def aligned(number, ALIGN: tl.constexpr):
    """A number that ALIGN divides, and of which the compiler then knows it: threads write several pixels at once."""
    return number // ALIGN * ALIGN


@triton.jit
def output_tile(width, groups, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr):
    """The image, the group, and the rows and columns of a program's pixels, BLOCK_H · BLOCK_W each."""
    batch, group = image_tile(groups)
    tiles = tl.cdiv(width, BLOCK_W)
    pixel = tl.arange(0, BLOCK_H * BLOCK_W)
    row = tl.program_id(0) // tiles * BLOCK_H + pixel // BLOCK_W
    column = tl.program_id(0) % tiles * BLOCK_W + pixel % BLOCK_W
    return batch, group, row, column


@triton.jit
def point(
    offsets, scopes, initial, batch, group, row, column, sub_row, sub_column, groups, factor,
    stride_pb, stride_pc, stride_ph, stride_pw,
    S: tl.constexpr, HAS_OFFSETS: tl.constexpr, HAS_SCOPES: tl.constexpr, HAS_INITIAL: tl.constexpr,
):  # fmt: skip
    """The column and row that sub-pixels of input pixels read, within the image or not; and their offsets and gates."""
    x, y = column.to(tl.float32), row.to(tl.float32)
    raw_x, raw_y, gate_x, gate_y = 0.0 * x, 0.0 * y, 1.0, 1.0
    if HAS_OFFSETS:
        first = group * (S * S) + sub_row * S + sub_column
        second = first + groups * (S * S)
        offs_p = row * stride_ph + column * stride_pw
        offsets += batch * stride_pb
        raw_x = tl.load(offsets + (offs_p + first * stride_pc)).to(tl.float32)
        raw_y = tl.load(offsets + (offs_p + second * stride_pc)).to(tl.float32)
        if HAS_SCOPES:
            scopes += batch * stride_pb
            gate_x = tl.sigmoid(tl.load(scopes + (offs_p + first * stride_pc)).to(tl.float32))
            gate_y = tl.sigmoid(tl.load(scopes + (offs_p + second * stride_pc)).to(tl.float32))
        start_x, start_y = 0.0, 0.0
        if HAS_INITIAL:
            start_x = tl.load(initial + first).to(tl.float32)
            start_y = tl.load(initial + second).to(tl.float32)
        x += start_x + factor * raw_x * gate_x
        y += start_y + factor * raw_y * gate_y
    else:
        x += (sub_column - (S - 1) / 2) / S
        y += (sub_row - (S - 1) / 2) / S
    return x, y, raw_x, raw_y, gate_x, gate_y


@triton.jit
def within(position, size):
    """A coordinate in pixels, moved to the border where it is beyond it."""
    return tl.minimum(tl.maximum(position, 0.0), size - 1.0)


@triton.jit
def zero_or_nan(position):
    """Zero for a coordinate that is finite, else NaN: added to what such a point reads, and to its gradients."""
    return 0.0 * position


@triton.jit
def first_pixel(position, size):
    """The first of the two pixels around a coordinate within the image, and how far the coordinate is from it.

    On the last border the distance is one, so that both pixels are in the image.
    """
    first = tl.maximum(tl.minimum(tl.floor(position), size - 2.0), 0.0)
    return first.to(tl.int32), position - first


@triton.jit
def of_channels(offs_pixel, stride_c, STEP_C: tl.constexpr):
    """Offsets of pixels (P) in each of STEP_C channels, (STEP_C, P); of one channel (P), laid out as stores are."""
    return offs_pixel if STEP_C == 1 else (tl.arange(0, STEP_C) * stride_c)[:, None] + offs_pixel[None, :]


@triton.jit
def for_channels(pixels, STEP_C: tl.constexpr):
    """A number or a mask of each pixel (P), for tensors as `of_channels` makes."""
    return pixels if STEP_C == 1 else pixels[None, :]


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


@tuned(blocks(SIZES, *ROWS, *CHANNELS), ANY_KEYS, fits=for_layout, derived=UNMASKED)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def sample_points_fwd_kernel(
    x, offsets, scopes, initial, out,
    channels, height, width, groups, factor, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_pb, stride_pc, stride_ph, stride_pw,
    S: tl.constexpr, HAS_OFFSETS: tl.constexpr, HAS_SCOPES: tl.constexpr, HAS_INITIAL: tl.constexpr,
    ALIGN: tl.constexpr,
    BLOCK_C: tl.constexpr, STEP_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """out[c, i, j] = x[c] read bilinearly at the point of (i, j)."""
    out_height, out_width = S * height, aligned(S * width, ALIGN)
    batch, group, out_row, out_column = output_tile(out_width, groups, BLOCK_H, BLOCK_W)
    row, column = tl.minimum(out_row, out_height - 1), tl.minimum(out_column, out_width - 1)
    px, py, _, _, _, _ = point(
        offsets, scopes, initial, batch, group, row // S, column // S, row % S, column % S, groups, factor,
        stride_pb, stride_pc, stride_ph, stride_pw, S, HAS_OFFSETS, HAS_SCOPES, HAS_INITIAL,
    )  # fmt: skip
    left, part_x = first_pixel(within(px, width), width)
    top, part_y = first_pixel(within(py, height), height)
    part_x, part_y = part_x + zero_or_nan(px), part_y + zero_or_nan(py)
    weight_a, weight_b, weight_c, weight_d = bilinear_weights(
        for_channels(part_x, STEP_C), for_channels(part_y, STEP_C)
    )

    stride_oc, stride_oh = aligned(stride_oc, ALIGN), aligned(stride_oh, ALIGN)
    offs_x = of_channels(top * stride_xh + left * stride_xw, stride_xc, STEP_C)
    offs_out = of_channels(out_row * stride_oh + out_column * stride_ow, stride_oc, STEP_C)
    is_out = for_channels((out_row < out_height) & (out_column < out_width), STEP_C)
    first = tl.program_id(1) * BLOCK_C
    channel = first_channel(group, channels, first, STEP_C, UNMASKED)
    x += batch * stride_xb + channel * stride_xc
    out += batch * aligned(stride_ob, ALIGN) + channel * stride_oc
    for start in range(first, tl.minimum(first + BLOCK_C, channels), STEP_C):
        is_channel = (start + tl.arange(0, STEP_C) < channels)[:, None]
        a, b, c, d = load_four(x + offs_x, stride_xh, stride_xw, is_channel, UNMASKED)
        value = a * weight_a + b * weight_b + c * weight_c + d * weight_d
        tl.store(out + offs_out, value.to(out.dtype.element_ty), mask=is_out if UNMASKED else is_out & is_channel)
        x += STEP_C * stride_xc
        out += STEP_C * stride_oc


@tuned(blocks(SIZES, *ALL_ROWS, *ALL_CHANNELS), KEYS, fits=for_layout, derived=UNMASKED)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def sample_points_bwd_doffsets_kernel(
    x, offsets, scopes, initial, grad, grad_offsets, grad_scopes,
    channels, height, width, groups, factor, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_pb, stride_pc, stride_ph, stride_pw,
    stride_gb, stride_gc, stride_gh, stride_gw,
    S: tl.constexpr, HAS_SCOPES: tl.constexpr, HAS_INITIAL: tl.constexpr, ALIGN: tl.constexpr,
    BLOCK_C: tl.constexpr, STEP_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """The gradients of offsets and scopes: each output pixel has its own, a sum over its group's channels."""
    out_height, out_width = S * height, aligned(S * width, ALIGN)
    batch, group, out_row, out_column = output_tile(out_width, groups, BLOCK_H, BLOCK_W)
    is_out = (out_row < out_height) & (out_column < out_width)
    row, column = tl.minimum(out_row, out_height - 1), tl.minimum(out_column, out_width - 1)
    px, py, raw_x, raw_y, gate_x, gate_y = point(
        offsets, scopes, initial, batch, group, row // S, column // S, row % S, column % S, groups, factor,
        stride_pb, stride_pc, stride_ph, stride_pw, S, True, HAS_SCOPES, HAS_INITIAL,
    )  # fmt: skip
    left, part_x = first_pixel(within(px, width), width)
    top, part_y = first_pixel(within(py, height), height)
    part_x, part_y = for_channels(part_x, STEP_C), for_channels(part_y, STEP_C)

    stride_oc, stride_oh = aligned(stride_oc, ALIGN), aligned(stride_oh, ALIGN)
    offs_x = of_channels(top * stride_xh + left * stride_xw, stride_xc, STEP_C)
    offs_out = of_channels(out_row * stride_oh + out_column * stride_ow, stride_oc, STEP_C)
    is_any = for_channels(is_out, STEP_C)
    channel = first_channel(group, channels, 0, STEP_C, UNMASKED)
    x += batch * stride_xb + channel * stride_xc
    grad += batch * aligned(stride_ob, ALIGN) + channel * stride_oc
    slope_x = 0.0 * offs_out.to(tl.float32)
    slope_y = slope_x
    for start in range(0, channels, STEP_C):
        is_channel = (start + tl.arange(0, STEP_C) < channels)[:, None]
        a, b, c, d = load_four(x + offs_x, stride_xh, stride_xw, is_channel, UNMASKED)
        gradient = tl.load(grad + offs_out, mask=is_any if UNMASKED else is_any & is_channel, other=0.0)
        gradient = gradient.to(tl.float32)
        slope_x += gradient * ((b - a) * (1 - part_y) + (d - c) * part_y)
        slope_y += gradient * ((c - a) * (1 - part_x) + (d - b) * part_x)
        x += STEP_C * stride_xc
        grad += STEP_C * stride_oc
    if STEP_C > 1:
        slope_x, slope_y = tl.sum(slope_x, axis=0), tl.sum(slope_y, axis=0)

    # On a border or beyond it, what is read does not change with the point.
    bad = zero_or_nan(px) + zero_or_nan(py)
    grad_px = tl.where((px > 0.0) & (px < width - 1.0), slope_x, 0.0) * factor + bad
    grad_py = tl.where((py > 0.0) & (py < height - 1.0), slope_y, 0.0) * factor + bad
    dtype = grad_offsets.dtype.element_ty
    first = group * (S * S) + row % S * S + column % S
    second = first + groups * (S * S)
    offs_p = row // S * stride_gh + column // S * stride_gw
    grad_offsets += batch * stride_gb
    tl.store(grad_offsets + (offs_p + first * stride_gc), (grad_px * gate_x).to(dtype), mask=is_out)
    tl.store(grad_offsets + (offs_p + second * stride_gc), (grad_py * gate_y).to(dtype), mask=is_out)
    if HAS_SCOPES:
        grad_scopes += batch * stride_gb
        grad_x, grad_y = grad_px * raw_x * gate_x * (1.0 - gate_x), grad_py * raw_y * gate_y * (1.0 - gate_y)
        dtype = grad_scopes.dtype.element_ty
        tl.store(grad_scopes + (offs_p + first * stride_gc), grad_x.to(dtype), mask=is_out)
        tl.store(grad_scopes + (offs_p + second * stride_gc), grad_y.to(dtype), mask=is_out)


@tuned(blocks(GATHERED_SIZES, *GATHERED), ANY_KEYS, fits=gathers_layout)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def sample_points_bwd_dx_kernel(
    offsets, scopes, initial, grad, steps, grad_x,
    channels, height, width, groups, factor, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_pb, stride_pc, stride_ph, stride_pw,
    S: tl.constexpr, SUBS: tl.constexpr, HAS_OFFSETS: tl.constexpr, HAS_SCOPES: tl.constexpr,
    HAS_INITIAL: tl.constexpr, EXACT: tl.constexpr, ALIGN: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """What the outputs around it read of each pixel of x, or whole steps of it, `steps` of which are one.

    With offsets these are the outputs of the 3 x 3 pixels around it. Without, none but the nearest 2s x 2s read it.
    A thread sums for one of the s output columns of a pixel, so that gradients are read side by side.
    """
    SPAN: tl.constexpr = 3 if HAS_OFFSETS else 2
    SHIFT: tl.constexpr = S if HAS_OFFSETS else S // 2
    out_height, out_width = S * height, aligned(S * width, ALIGN)
    batch, group = image_tile(groups)
    tiles = tl.cdiv(width, BLOCK_W)
    top, left = tl.program_id(0) // tiles * BLOCK_H, tl.program_id(0) % tiles * BLOCK_W
    index = tl.arange(0, BLOCK_H * BLOCK_W * SUBS)
    row, in_row = top + index // (BLOCK_W * SUBS), index % (BLOCK_W * SUBS)
    column, sub = left + in_row // SUBS, in_row % SUBS
    own_column = left * S + in_row if SUBS == S else column * S + sub
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    is_channel = (channel < channels)[:, None]

    stride_oc, stride_oh = aligned(stride_oc, ALIGN), aligned(stride_oh, ALIGN)
    grad += batch * aligned(stride_ob, ALIGN) + (group * channels).to(tl.int64) * stride_oc
    offs_g = (channel * stride_oc)[:, None] + ((own_column - SHIFT) * stride_ow)[None, :]
    total = tl.zeros([BLOCK_C, BLOCK_H * BLOCK_W * SUBS], tl.float32)
    for down in range(SPAN * S):
        out_row = row * S + (down - SHIFT)
        is_row = (out_row >= 0) & (out_row < out_height)
        if SUBS != S:
            is_row = is_row & (sub < S)
        g_ptrs = grad + (offs_g + (out_row * stride_oh)[None, :])
        for side in tl.static_range(SPAN):
            out_column = own_column + (side * S - SHIFT)
            is_out = is_row & (out_column >= 0) & (out_column < out_width)
            if HAS_OFFSETS:
                px, py, _, _, _, _ = point(
                    offsets, scopes, initial, batch, group,
                    tl.minimum(tl.maximum(row + (down // S - 1), 0), height - 1),
                    tl.minimum(tl.maximum(column + (side - 1), 0), width - 1), down % S, tl.minimum(sub, S - 1),
                    groups, factor, stride_pb, stride_pc, stride_ph, stride_pw, S, True, HAS_SCOPES, HAS_INITIAL,
                )  # fmt: skip
            else:
                px, py = (out_column + 0.5) / S - 0.5, (out_row + 0.5) / S - 0.5
            weight = tl.maximum(1.0 - tl.abs(within(px, width) - column), 0.0)
            weight *= tl.maximum(1.0 - tl.abs(within(py, height) - row), 0.0)
            gradient = tl.load(g_ptrs + side * S * stride_ow, mask=is_channel & is_out[None, :], other=0.0)
            total += weight[None, :] * gradient.to(tl.float32)

    total = tl.sum(tl.reshape(total, (BLOCK_C, BLOCK_H * BLOCK_W, SUBS)), axis=2)
    if EXACT:
        total *= tl.load(steps)
    pixel = tl.arange(0, BLOCK_H * BLOCK_W)
    row, column = top + pixel // BLOCK_W, left + pixel % BLOCK_W
    grad_x += batch * stride_xb + (group * channels).to(tl.int64) * stride_xc
    x_ptrs = grad_x + ((channel * stride_xc)[:, None] + (row * stride_xh + column * stride_xw)[None, :])
    is_pixel = ((row < height) & (column < width))[None, :]
    tl.store(x_ptrs, total.to(grad_x.dtype.element_ty), mask=is_channel & is_pixel)


@triton.jit
def add_to(ptrs, value, scale, mask, EXACT: tl.constexpr):
    """Adds in no order: in float32, or whole multiples of a step, `scale` of which are one."""
    if EXACT:
        tl.atomic_add(ptrs, (value * scale).to(tl.int64), mask=mask, sem="relaxed")
    else:
        tl.atomic_add(ptrs, value, mask=mask, sem="relaxed")


# Timing adds to the sum, so the tuner puts back what was there.
@tuned(FAR_BLOCKS, KEYS, fits=for_layout, derived=UNMASKED, restore_value=["grad_x"])
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def sample_points_bwd_dx_far_kernel(
    offsets, scopes, initial, grad, steps, grad_x,
    channels, height, width, groups, factor, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    stride_pb, stride_pc, stride_ph, stride_pw,
    S: tl.constexpr, HAS_SCOPES: tl.constexpr, HAS_INITIAL: tl.constexpr, EXACT: tl.constexpr,
    BLOCK_C: tl.constexpr, STEP_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """Adds each output pixel's gradient to those pixels it read that are not among the 3 x 3 around its own."""
    out_height, out_width = S * height, S * width
    batch, group, out_row, out_column = output_tile(out_width, groups, BLOCK_H, BLOCK_W)
    is_out = (out_row < out_height) & (out_column < out_width)
    out_row, out_column = tl.minimum(out_row, out_height - 1), tl.minimum(out_column, out_width - 1)
    row, column = out_row // S, out_column // S
    px, py, _, _, _, _ = point(
        offsets, scopes, initial, batch, group, row, column, out_row % S, out_column % S, groups, factor,
        stride_pb, stride_pc, stride_ph, stride_pw, S, True, HAS_SCOPES, HAS_INITIAL,
    )  # fmt: skip
    left, part_x = first_pixel(within(px, width), width)
    top, part_y = first_pixel(within(py, height), height)
    right, down = left - column, top - row  # by how many pixels the upper left one that is read is elsewhere
    is_far_left, is_far_right = (right < -1) | (right > 1), (right < -2) | (right > 0)
    is_far_top, is_far_bottom = (down < -1) | (down > 1), (down < -2) | (down > 0)
    is_any = tl.max((is_out & (is_far_left | is_far_right | is_far_top | is_far_bottom)).to(tl.int32), axis=0)
    is_out = for_channels(is_out, STEP_C)
    far_a = is_out & for_channels(is_far_top | is_far_left, STEP_C)
    far_b = is_out & for_channels(is_far_top | is_far_right, STEP_C)
    far_c = is_out & for_channels(is_far_bottom | is_far_left, STEP_C)
    far_d = is_out & for_channels(is_far_bottom | is_far_right, STEP_C)
    weight_a, weight_b, weight_c, weight_d = bilinear_weights(
        for_channels(part_x, STEP_C), for_channels(part_y, STEP_C)
    )

    offs_x = of_channels(top * stride_xh + left * stride_xw, stride_xc, STEP_C)
    offs_out = of_channels(out_row * stride_oh + out_column * stride_ow, stride_oc, STEP_C)
    first = tl.program_id(1) * BLOCK_C
    last = tl.where(is_any > 0, tl.minimum(first + BLOCK_C, channels), first)
    channel = first_channel(group, channels, first, STEP_C, UNMASKED)
    grad_x += batch * stride_xb + channel * stride_xc
    grad += batch * stride_ob + channel * stride_oc
    scale = 1.0
    if EXACT:
        scale = tl.load(steps)
    for start in range(first, last, STEP_C):
        is_channel = (start + tl.arange(0, STEP_C) < channels)[:, None]
        gradient = tl.load(grad + offs_out, mask=is_out if UNMASKED else is_out & is_channel, other=0.0).to(tl.float32)
        x_ptrs = grad_x + offs_x
        add_to(x_ptrs, gradient * weight_a, scale, far_a if UNMASKED else far_a & is_channel, EXACT)
        add_to(x_ptrs + stride_xw, gradient * weight_b, scale, far_b if UNMASKED else far_b & is_channel, EXACT)
        add_to(x_ptrs + stride_xh, gradient * weight_c, scale, far_c if UNMASKED else far_c & is_channel, EXACT)
        x_ptrs += stride_xh + stride_xw
        add_to(x_ptrs, gradient * weight_d, scale, far_d if UNMASKED else far_d & is_channel, EXACT)
        grad_x += STEP_C * stride_xc
        grad += STEP_C * stride_oc
