"""Kernels for what reads one displaced point of the input for each output pixel.

From the projections straight to the output: initial position, scope, sigmoid, pixel shuffle, border rule and bilinear
read happen in registers, in float32 whatever the dtypes; no coordinate is ever stored. A program has a block of output
pixels and some channels of one group. Without offsets the points are those of bilinear interpolation.

What a point needs is found once and serves all channels of a program. These are walked by steps: one channel at a
time where rows are contiguous, so that a pointer moves by what is the same for all threads; as many as threads read at
once where channels are contiguous. Nothing but the output is masked: who is beyond the last pixel reads the last one.

Strides of x are zero along an axis of one pixel, where nothing lies right of or below a point.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.fused._launch import tuned
from upsamplers.fused._row_kernels import KINDS

# What decides which blocks are best; sizes by their power of two, so that another image size is not tuned anew.
SHAPE = ("channels", "size", "images", "S", "x_column")
DISPLACED = (*SHAPE, "HAS_SCOPES")
# (BLOCK_C, STEP_C, BLOCK_P, warps). Contiguous rows: long runs of pixels, one to four a thread; more channels find a
# point less often, fewer leave more programs. Contiguous channels: 16 bytes a thread, two to four threads a pixel.
ROWS = ((32, 1, 256, 4), (64, 1, 256, 4), (16, 1, 256, 4), (32, 1, 512, 4), (16, 1, 128, 4))
CHANNELS = ((64, 16, 32, 4), (64, 8, 64, 4), (64, 32, 32, 4), (64, 16, 64, 4), (32, 16, 32, 4))


def blocks(*lists: tuple[tuple[int, int, int, int], ...]) -> list[Any]:
    """Configurations of these numbers."""
    return [
        triton.Config({"BLOCK_C": channels, "STEP_C": step, "BLOCK_P": pixels}, num_warps=warps)
        for channels, step, pixels, warps in (one for some in lists for one in some)
    ]


def for_layout(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a configuration is for what lies contiguous in x."""
    return bool((config.kwargs["STEP_C"] > 1) == (arguments["x_channel"] == 1))


# Whether the last step is a whole one, so that no channel needs a mask.
WHOLE = {"WHOLE": lambda given: given["channels"] % given["STEP_C"] == 0}
BLOCKS = blocks(ROWS, CHANNELS)


@triton.jit
def point(
    offsets, initial, batch, group, down, across, groups, factor,
    offset_batch, offset_channel, offset_row, offset_column,
    S: tl.constexpr, HAS_OFFSETS: tl.constexpr, HAS_SCOPES: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """The column and row that output pixels (down, across) read, before the border rule, and what made them."""
    row, column = down // S, across // S
    sub = down % S * S + across % S
    raw_x = tl.zeros_like(down).to(tl.float32)
    raw_y, gate_x, gate_y = raw_x, raw_x + 1.0, raw_x + 1.0
    if HAS_OFFSETS:
        first = group * (S * S) + sub
        second = first + groups * (S * S)
        if WIDE:
            first, second, row, column = first.to(tl.int64), second.to(tl.int64), row.to(tl.int64), column.to(tl.int64)
        place = batch * offset_batch + row * offset_row + column * offset_column
        raw_x = tl.load(offsets + place + first * offset_channel).to(tl.float32)
        raw_y = tl.load(offsets + place + second * offset_channel).to(tl.float32)
        if HAS_SCOPES:  # in the channels after the offsets
            third, fourth = second + groups * (S * S), second + groups * (2 * S * S)
            gate_x = tl.sigmoid(tl.load(offsets + place + third * offset_channel).to(tl.float32))
            gate_y = tl.sigmoid(tl.load(offsets + place + fourth * offset_channel).to(tl.float32))
        start_x = tl.load(initial + first).to(tl.float32)
        start_y = tl.load(initial + second).to(tl.float32)
    else:
        start_x = (across % S - (S - 1) / 2) / S
        start_y = (down % S - (S - 1) / 2) / S
    x = column + (start_x + factor * raw_x * gate_x)
    y = row + (start_y + factor * raw_y * gate_y)
    return x, y, raw_x, raw_y, gate_x, gate_y


@triton.jit
def corner(x, y, height, width):
    """The border rule; the upper left one of the four pixels that are read, and the point's place from there.

    On the right and the lower border the point is wholly at the other pixel, so that all four are in the image.
    """
    x = tl.minimum(tl.maximum(x, 0.0), width - 1.0)
    y = tl.minimum(tl.maximum(y, 0.0), height - 1.0)
    left = tl.maximum(tl.minimum(tl.floor(x), width - 2.0), 0.0)
    top = tl.maximum(tl.minimum(tl.floor(y), height - 2.0), 0.0)
    return left.to(tl.int32), top.to(tl.int32), x - left, y - top


@triton.jit
def weights(part_x, part_y):
    """Of the four pixels, as the reference has them."""
    return (1 - part_x) * (1 - part_y), part_x * (1 - part_y), (1 - part_x) * part_y, part_x * part_y


@triton.jit
def four_pixels(here, x_row, x_column, some, WHOLE: tl.constexpr):
    """What x is at the four pixels, in float32."""
    if WHOLE:
        a, b = tl.load(here), tl.load(here + x_column)
        c, d = tl.load(here + x_row), tl.load(here + x_row + x_column)
    else:
        a, b = tl.load(here, mask=some, other=0.0), tl.load(here + x_column, mask=some, other=0.0)
        c = tl.load(here + x_row, mask=some, other=0.0)
        d = tl.load(here + x_row + x_column, mask=some, other=0.0)
    return a.to(tl.float32), b.to(tl.float32), c.to(tl.float32), d.to(tl.float32)


@triton.jit
def read_channels(
    x, out, px, py, down, across, is_out,
    group, channels, first, last, height, width,
    x_channel, x_row, x_column, out_channel, out_row, out_column,
    WIDE: tl.constexpr, STEP_C: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """Writes what channels [first, last) of a group are at the points (px, py) to the output pixels (down, across)."""
    left, top, part_x, part_y = corner(px, py, height, width)
    at_a, at_b, at_c, at_d = weights(part_x, part_y)
    step = tl.arange(0, STEP_C)
    if WIDE:
        left, top, step = left.to(tl.int64), top.to(tl.int64), step.to(tl.int64)
        down, across = down.to(tl.int64), across.to(tl.int64)
    here = (step * x_channel)[:, None] + (top * x_row + left * x_column)[None, :]
    there = (step * out_channel)[:, None] + (down * out_row + across * out_column)[None, :]
    begin = (group * channels + first).to(tl.int64)
    if WHOLE:  # so that threads read several channels at once
        begin = tl.multiple_of(begin, STEP_C)
    x += begin * x_channel
    out += begin * out_channel
    for start in range(first, last, STEP_C):
        some = (start + step < channels)[:, None]
        a, b, c, d = four_pixels(x + here, x_row, x_column, some, WHOLE)
        result = a * at_a[None, :] + b * at_b[None, :] + c * at_c[None, :] + d * at_d[None, :]
        inside = is_out[None, :] if WHOLE else is_out[None, :] & some
        tl.store(out + there, result.to(out.dtype.element_ty), mask=inside)
        x += STEP_C * x_channel
        out += STEP_C * out_channel


@tuned(BLOCKS, (*DISPLACED, "HAS_OFFSETS"), suits=for_layout, derived=WHOLE)
@triton.jit(do_not_specialize=KINDS)
def sample_points(
    x, offsets, initial, out,
    channels, height, width, groups, factor, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    offset_batch, offset_channel, offset_row, offset_column,
    S: tl.constexpr, HAS_OFFSETS: tl.constexpr, HAS_SCOPES: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, STEP_C: tl.constexpr, BLOCK_P: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """out[c, i, j] = x[c] read bilinearly at the point of (i, j)."""
    own = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    batch = (tl.program_id(2) // groups).to(tl.int64)
    group = tl.program_id(2) % groups
    pixel = tl.minimum(own, S * S * height * width - 1)
    px, py, _, _, _, _ = point(
        offsets, initial, batch, group, pixel // (S * width), pixel % (S * width), groups, factor,
        offset_batch, offset_channel, offset_row, offset_column, S, HAS_OFFSETS, HAS_SCOPES, WIDE,
    )  # fmt: skip
    down, across = own // (S * width), own % (S * width)
    first = tl.program_id(1) * BLOCK_C
    read_channels(
        x + batch * x_batch, out + batch * out_batch, px, py, down, across, own < S * S * height * width,
        group, channels, first, tl.minimum(first + BLOCK_C, channels), height, width,
        x_channel, x_row, x_column, out_channel, out_row, out_column, WIDE, STEP_C, WHOLE,
    )  # fmt: skip


# A program has all channels of a group: small features need short runs for enough programs.
ALL_ROWS = ((1, 1, 256, 4), (1, 1, 512, 4), (1, 1, 128, 4), (1, 1, 64, 2))
ALL_CHANNELS = ((16, 16, 32, 4), (8, 8, 64, 4), (32, 32, 32, 4), (16, 16, 64, 4), (16, 16, 16, 2))


@tuned(blocks(ALL_ROWS, ALL_CHANNELS), DISPLACED, suits=for_layout, derived=WHOLE)
@triton.jit(do_not_specialize=KINDS)
def sample_points_offsets_backward(
    x, offsets, initial, grad, grad_offsets,
    channels, height, width, groups, factor, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    offset_batch, offset_channel, offset_row, offset_column,
    S: tl.constexpr, HAS_SCOPES: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, STEP_C: tl.constexpr, BLOCK_P: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """The gradients of offsets and scopes: each output pixel has its own, a sum over its group's channels."""
    own = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    batch = (tl.program_id(1) // groups).to(tl.int64)
    group = tl.program_id(1) % groups
    mask = own < S * S * height * width
    pixel = tl.minimum(own, S * S * height * width - 1)
    down, across, step = pixel // (S * width), pixel % (S * width), tl.arange(0, STEP_C)
    px, py, raw_x, raw_y, gate_x, gate_y = point(
        offsets, initial, batch, group, down, across, groups, factor,
        offset_batch, offset_channel, offset_row, offset_column, S, True, HAS_SCOPES, WIDE,
    )  # fmt: skip
    left, top, part_x, part_y = corner(px, py, height, width)
    first = group * (S * S) + down % S * S + across % S
    second = first + groups * (S * S)
    if WIDE:
        left, top, step = left.to(tl.int64), top.to(tl.int64), step.to(tl.int64)
        down, across, first, second = down.to(tl.int64), across.to(tl.int64), first.to(tl.int64), second.to(tl.int64)
    place = batch * offset_batch + down // S * offset_row + across // S * offset_column
    here = (step * x_channel)[:, None] + (top * x_row + left * x_column)[None, :]
    there = (step * out_channel)[:, None] + (down * out_row + across * out_column)[None, :]
    begin = group.to(tl.int64) * channels
    if WHOLE:
        begin = tl.multiple_of(begin, STEP_C)
    x += batch * x_batch + begin * x_channel
    grad += batch * out_batch + begin * out_channel

    slope_x = tl.zeros([STEP_C, BLOCK_P], tl.float32)
    slope_y = tl.zeros([STEP_C, BLOCK_P], tl.float32)
    for start in range(0, channels, STEP_C):
        some = (start + step < channels)[:, None]
        a, b, c, d = four_pixels(x + here, x_row, x_column, some, WHOLE)
        if WHOLE:
            found = tl.load(grad + there).to(tl.float32)
        else:
            found = tl.load(grad + there, mask=some, other=0.0).to(tl.float32)
        slope_x += found * ((b - a) * (1 - part_y)[None, :] + (d - c) * part_y[None, :])
        slope_y += found * ((c - a) * (1 - part_x)[None, :] + (d - b) * part_x[None, :])
        x += STEP_C * x_channel
        grad += STEP_C * out_channel
    # What lies on a border or beyond it does not move with its point.
    moved_x = tl.where((px > 0.0) & (px < width - 1.0), tl.sum(slope_x, axis=0), 0.0) * factor
    moved_y = tl.where((py > 0.0) & (py < height - 1.0), tl.sum(slope_y, axis=0), 0.0) * factor
    kind = grad_offsets.dtype.element_ty
    tl.store(grad_offsets + place + first * offset_channel, (moved_x * gate_x).to(kind), mask=mask)
    tl.store(grad_offsets + place + second * offset_channel, (moved_y * gate_y).to(kind), mask=mask)
    if HAS_SCOPES:
        third, fourth = second + groups * (S * S), second + groups * (2 * S * S)
        moved_x, moved_y = moved_x * raw_x * gate_x * (1.0 - gate_x), moved_y * raw_y * gate_y * (1.0 - gate_y)
        tl.store(grad_offsets + place + third * offset_channel, moved_x.to(kind), mask=mask)
        tl.store(grad_offsets + place + fourth * offset_channel, moved_y.to(kind), mask=mask)


@triton.jit
def add_to(place, value, scale, some, EXACT: tl.constexpr):
    """Adds in no order: numbers of float32, or whole multiples of a step, `scale` of which are one."""
    if EXACT:
        tl.atomic_add(place, (value * scale).to(tl.int64), mask=some, sem="relaxed")
    else:
        tl.atomic_add(place, value, mask=some, sem="relaxed")


# Timing adds to the sum: it begins from nothing each time.
@tuned(BLOCKS, DISPLACED, suits=for_layout, derived=WHOLE, reset_to_zero=["grad_x"])
@triton.jit(do_not_specialize=KINDS)
def sample_points_features_backward(
    offsets, initial, grad, steps, grad_x,
    channels, height, width, groups, factor, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    offset_batch, offset_channel, offset_row, offset_column,
    S: tl.constexpr, HAS_SCOPES: tl.constexpr, EXACT: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, STEP_C: tl.constexpr, BLOCK_P: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """Adds each output pixel's gradient to the four pixels it read; in whole steps where the order must not matter."""
    own = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    batch = (tl.program_id(2) // groups).to(tl.int64)
    group = tl.program_id(2) % groups
    pixel = tl.minimum(own, S * S * height * width - 1)
    down, across, step = pixel // (S * width), pixel % (S * width), tl.arange(0, STEP_C)
    px, py, _, _, _, _ = point(
        offsets, initial, batch, group, down, across, groups, factor,
        offset_batch, offset_channel, offset_row, offset_column, S, True, HAS_SCOPES, WIDE,
    )  # fmt: skip
    left, top, part_x, part_y = corner(px, py, height, width)
    at_a, at_b, at_c, at_d = weights(part_x, part_y)
    if WIDE:
        left, top, step = left.to(tl.int64), top.to(tl.int64), step.to(tl.int64)
        down, across = down.to(tl.int64), across.to(tl.int64)
    here = (step * x_channel)[:, None] + (top * x_row + left * x_column)[None, :]
    there = (step * out_channel)[:, None] + (down * out_row + across * out_column)[None, :]
    is_out = (own < S * S * height * width)[None, :]
    first = tl.program_id(1) * BLOCK_C
    begin = (group * channels + first).to(tl.int64)
    if WHOLE:
        begin = tl.multiple_of(begin, STEP_C)
    grad_x += batch * x_batch + begin * x_channel
    grad += batch * out_batch + begin * out_channel
    scale = tl.load(steps)
    for start in range(first, tl.minimum(first + BLOCK_C, channels), STEP_C):
        some = is_out if WHOLE else is_out & (start + step < channels)[:, None]
        found = tl.load(grad + there, mask=some, other=0.0).to(tl.float32)
        add_to(grad_x + here, found * at_a[None, :], scale, some, EXACT)
        add_to(grad_x + here + x_column, found * at_b[None, :], scale, some, EXACT)
        add_to(grad_x + here + x_row, found * at_c[None, :], scale, some, EXACT)
        add_to(grad_x + here + x_row + x_column, found * at_d[None, :], scale, some, EXACT)
        grad_x += STEP_C * x_channel
        grad += STEP_C * out_channel
