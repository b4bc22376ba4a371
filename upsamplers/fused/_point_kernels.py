"""Kernels for what reads one displaced point of the input for each output pixel.

From the projections straight to the output: initial position, scope, sigmoid, pixel shuffle, border rule and bilinear
read happen in registers, in float32 whatever the dtypes; no coordinate is ever stored. A program has a block of output
pixels and some channels of one group. Without offsets the points are those of bilinear interpolation.
"""

import triton
import triton.language as tl

from upsamplers.fused._launch import tuned

# What decides which blocks are best; sizes by their power of two, so that another image size is not tuned anew.
SHAPE = ("channels", "size", "images", "S", "x_column")
DISPLACED = (*SHAPE, "HAS_SCOPES")
# A few channels of a long run of pixels where rows are contiguous, many of a short one where channels are.
BLOCKS = [
    triton.Config({"BLOCK_C": channels, "BLOCK_P": pixels}, num_warps=warps)
    for channels, pixels, warps in ((8, 128, 4), (16, 128, 4), (8, 256, 4), (16, 256, 8), (64, 32, 4), (32, 32, 4))
]


@triton.jit
def point(
    offsets, initial, batch, group, down, across, height, width, groups, factor,
    offset_batch, offset_channel, offset_row, offset_column, mask,
    S: tl.constexpr, HAS_OFFSETS: tl.constexpr, HAS_SCOPES: tl.constexpr,
):  # fmt: skip
    """The column and row that output pixels (down, across) read, before the border rule, and what made them."""
    row, column = down // S, across // S
    sub = down % S * S + across % S
    raw_x = tl.zeros_like(down).to(tl.float32)
    raw_y, gate_x, gate_y = raw_x, raw_x + 1.0, raw_x + 1.0
    if HAS_OFFSETS:
        first = group * (S * S) + sub
        second = first + groups * (S * S)
        place = batch * offset_batch + row * offset_row + column * offset_column
        raw_x = tl.load(offsets + place + first * offset_channel, mask=mask, other=0.0).to(tl.float32)
        raw_y = tl.load(offsets + place + second * offset_channel, mask=mask, other=0.0).to(tl.float32)
        if HAS_SCOPES:  # in the channels after the offsets
            place += groups * (2 * S * S) * offset_channel
            gate_x = tl.sigmoid(tl.load(offsets + place + first * offset_channel, mask=mask, other=0.0).to(tl.float32))
            gate_y = tl.sigmoid(tl.load(offsets + place + second * offset_channel, mask=mask, other=0.0).to(tl.float32))
        start_x = tl.load(initial + first, mask=mask, other=0.0).to(tl.float32)
        start_y = tl.load(initial + second, mask=mask, other=0.0).to(tl.float32)
    else:
        start_x = (across % S - (S - 1) / 2) / S
        start_y = (down % S - (S - 1) / 2) / S
    x = column + (start_x + factor * raw_x * gate_x)
    y = row + (start_y + factor * raw_y * gate_y)
    return x, y, raw_x, raw_y, gate_x, gate_y


@triton.jit
def corners(x, y, height, width):
    """The border rule, and the four pixels around a point with the point's place among them."""
    x = tl.minimum(tl.maximum(x, 0.0), width - 1.0)
    y = tl.minimum(tl.maximum(y, 0.0), height - 1.0)
    left, top = tl.floor(x), tl.floor(y)
    right, bottom = tl.minimum(left + 1.0, width - 1.0), tl.minimum(top + 1.0, height - 1.0)
    return left.to(tl.int32), right.to(tl.int32), top.to(tl.int32), bottom.to(tl.int32), x - left, y - top


@triton.jit
def four_pixels(plane, left, right, top, bottom, x_row, x_column, inside):
    """What x is at the four pixels around each point, in float32."""
    a = tl.load(plane + (top * x_row + left * x_column)[None, :], mask=inside, other=0.0).to(tl.float32)
    b = tl.load(plane + (top * x_row + right * x_column)[None, :], mask=inside, other=0.0).to(tl.float32)
    c = tl.load(plane + (bottom * x_row + left * x_column)[None, :], mask=inside, other=0.0).to(tl.float32)
    d = tl.load(plane + (bottom * x_row + right * x_column)[None, :], mask=inside, other=0.0).to(tl.float32)
    return a, b, c, d


@tuned(BLOCKS, (*DISPLACED, "HAS_OFFSETS"))
@triton.jit
def sample_points(
    x, offsets, initial, out,
    channels, height, width, groups, factor, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    offset_batch, offset_channel, offset_row, offset_column,
    S: tl.constexpr, HAS_OFFSETS: tl.constexpr, HAS_SCOPES: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """out[c, i, j] = x[c] read bilinearly at the point of (i, j)."""
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = (tl.program_id(2) // groups).to(tl.int64)
    group = tl.program_id(2) % groups
    mask, is_channel = pixel < S * S * height * width, channel < channels
    down, across = pixel // (S * width), pixel % (S * width)
    px, py, _, _, _, _ = point(
        offsets, initial, batch, group, down, across, height, width, groups, factor,
        offset_batch, offset_channel, offset_row, offset_column, mask, S, HAS_OFFSETS, HAS_SCOPES,
    )  # fmt: skip
    left, right, top, bottom, part_x, part_y = corners(px, py, height, width)
    own_channel = group * channels + channel
    if WIDE:
        own_channel, down, across = own_channel.to(tl.int64), down.to(tl.int64), across.to(tl.int64)
        left, right, top, bottom = left.to(tl.int64), right.to(tl.int64), top.to(tl.int64), bottom.to(tl.int64)
    inside = is_channel[:, None] & mask[None, :]
    plane = x + batch * x_batch + own_channel[:, None] * x_channel
    a, b, c, d = four_pixels(plane, left, right, top, bottom, x_row, x_column, inside)
    # Four weights, as the reference has it: a pixel that has no weight adds exactly nothing.
    result = a * ((1 - part_x) * (1 - part_y))[None, :] + b * (part_x * (1 - part_y))[None, :]
    result += c * ((1 - part_x) * part_y)[None, :] + d * (part_x * part_y)[None, :]
    where = own_channel[:, None] * out_channel + (down * out_row + across * out_column)[None, :]
    tl.store(out + batch * out_batch + where, result.to(out.dtype.element_ty), mask=inside)


@tuned(BLOCKS, DISPLACED)
@triton.jit
def sample_points_offsets_backward(
    x, offsets, initial, grad, grad_offsets,
    channels, height, width, groups, factor, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    offset_batch, offset_channel, offset_row, offset_column,
    S: tl.constexpr, HAS_SCOPES: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The gradients of offsets and scopes: each output pixel has its own, a sum over its group's channels."""
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    batch = (tl.program_id(1) // groups).to(tl.int64)
    group = tl.program_id(1) % groups
    mask = pixel < S * S * height * width
    down, across = pixel // (S * width), pixel % (S * width)
    px, py, raw_x, raw_y, gate_x, gate_y = point(
        offsets, initial, batch, group, down, across, height, width, groups, factor,
        offset_batch, offset_channel, offset_row, offset_column, mask, S, True, HAS_SCOPES,
    )  # fmt: skip
    left, right, top, bottom, part_x, part_y = corners(px, py, height, width)
    place = batch * offset_batch + down // S * offset_row + across // S * offset_column
    first = group * (S * S) + down % S * S + across % S
    second = first + groups * (S * S)
    block = tl.arange(0, BLOCK_C)
    if WIDE:
        block, down, across = block.to(tl.int64), down.to(tl.int64), across.to(tl.int64)
        left, right, top, bottom = left.to(tl.int64), right.to(tl.int64), top.to(tl.int64), bottom.to(tl.int64)
    x += batch * x_batch + group.to(tl.int64) * channels * x_channel
    grad += batch * out_batch + group.to(tl.int64) * channels * out_channel

    slope_x = tl.zeros([BLOCK_P], tl.float32)
    slope_y = tl.zeros([BLOCK_P], tl.float32)
    for start in range(0, channels, BLOCK_C):
        inside = (start + block < channels)[:, None] & mask[None, :]
        plane = x + (start + block)[:, None] * x_channel
        a, b, c, d = four_pixels(plane, left, right, top, bottom, x_row, x_column, inside)
        where = (start + block)[:, None] * out_channel + (down * out_row + across * out_column)[None, :]
        found = tl.load(grad + where, mask=inside, other=0.0).to(tl.float32)
        slope_x += tl.sum(found * ((b - a) * (1 - part_y)[None, :] + (d - c) * part_y[None, :]), axis=0)
        slope_y += tl.sum(found * ((c - a) * (1 - part_x)[None, :] + (d - b) * part_x[None, :]), axis=0)
    # What lies on a border or beyond it does not move with its point.
    slope_x = tl.where((px > 0.0) & (px < width - 1.0), slope_x, 0.0) * factor
    slope_y = tl.where((py > 0.0) & (py < height - 1.0), slope_y, 0.0) * factor
    kind = grad_offsets.dtype.element_ty
    tl.store(grad_offsets + place + first * offset_channel, (slope_x * gate_x).to(kind), mask=mask)
    tl.store(grad_offsets + place + second * offset_channel, (slope_y * gate_y).to(kind), mask=mask)
    if HAS_SCOPES:
        place += groups * (2 * S * S) * offset_channel
        slope_x, slope_y = slope_x * raw_x * gate_x * (1.0 - gate_x), slope_y * raw_y * gate_y * (1.0 - gate_y)
        tl.store(grad_offsets + place + first * offset_channel, slope_x.to(kind), mask=mask)
        tl.store(grad_offsets + place + second * offset_channel, slope_y.to(kind), mask=mask)


# Timing adds to the sum: it begins from nothing each time.
@tuned(BLOCKS, DISPLACED, reset_to_zero=["grad_x"])
@triton.jit
def sample_points_features_backward(
    offsets, initial, grad, steps, grad_x,
    channels, height, width, groups, factor, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    offset_batch, offset_channel, offset_row, offset_column,
    S: tl.constexpr, HAS_SCOPES: tl.constexpr, EXACT: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Adds each output pixel's gradient to the four pixels it read; in whole steps where the order must not matter."""
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = (tl.program_id(2) // groups).to(tl.int64)
    group = tl.program_id(2) % groups
    mask, is_channel = pixel < S * S * height * width, channel < channels
    down, across = pixel // (S * width), pixel % (S * width)
    px, py, _, _, _, _ = point(
        offsets, initial, batch, group, down, across, height, width, groups, factor,
        offset_batch, offset_channel, offset_row, offset_column, mask, S, True, HAS_SCOPES,
    )  # fmt: skip
    left, right, top, bottom, part_x, part_y = corners(px, py, height, width)
    own_channel = group * channels + channel
    if WIDE:
        own_channel, down, across = own_channel.to(tl.int64), down.to(tl.int64), across.to(tl.int64)
        left, right, top, bottom = left.to(tl.int64), right.to(tl.int64), top.to(tl.int64), bottom.to(tl.int64)
    inside = is_channel[:, None] & mask[None, :]
    where = own_channel[:, None] * out_channel + (down * out_row + across * out_column)[None, :]
    found = tl.load(grad + batch * out_batch + where, mask=inside, other=0.0).to(tl.float32)
    plane = grad_x + batch * x_batch + own_channel[:, None] * x_channel
    a, b = found * ((1 - part_x) * (1 - part_y))[None, :], found * (part_x * (1 - part_y))[None, :]
    c, d = found * ((1 - part_x) * part_y)[None, :], found * (part_x * part_y)[None, :]
    if EXACT:
        scale = tl.load(steps)
        a, b = (a * scale).to(tl.int64), (b * scale).to(tl.int64)
        c, d = (c * scale).to(tl.int64), (d * scale).to(tl.int64)
    tl.atomic_add(plane + (top * x_row + left * x_column)[None, :], a, mask=inside, sem="relaxed")
    tl.atomic_add(plane + (top * x_row + right * x_column)[None, :], b, mask=inside, sem="relaxed")
    tl.atomic_add(plane + (bottom * x_row + left * x_column)[None, :], c, mask=inside, sem="relaxed")
    tl.atomic_add(plane + (bottom * x_row + right * x_column)[None, :], d, mask=inside, sem="relaxed")


@tuned(BLOCKS, SHAPE)
@triton.jit
def bilinear_backward(
    grad, grad_x,
    channels, height, width, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    S: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The gradient of bilinear interpolation by gathering: its points stay within a pixel of their own."""
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = tl.program_id(2).to(tl.int64)
    row, column = pixel // width, pixel % width
    is_pixel, is_channel = pixel < height * width, channel < channels
    if WIDE:
        row, column, channel = row.to(tl.int64), column.to(tl.int64), channel.to(tl.int64)
    grad += batch * out_batch
    result = tl.zeros([BLOCK_C, BLOCK_P], tl.float32)
    for step in range(9 * S * S):
        near, sub = step // (S * S), step % (S * S)
        up, left = row + near // 3 - 1, column + near % 3 - 1
        reads = is_pixel & (up >= 0) & (up < height) & (left >= 0) & (left < width)
        y = tl.minimum(tl.maximum(up + (sub // S - (S - 1) / 2) / S, 0.0), height - 1.0)
        x = tl.minimum(tl.maximum(left + (sub % S - (S - 1) / 2) / S, 0.0), width - 1.0)
        part = tl.maximum(1.0 - tl.abs(y - row), 0.0) * tl.maximum(1.0 - tl.abs(x - column), 0.0)
        where = channel[:, None] * out_channel + ((up * S + sub // S) * out_row)[None, :]
        where = where + ((left * S + sub % S) * out_column)[None, :]
        inside = is_channel[:, None] & (reads & (part > 0.0))[None, :]
        result += part[None, :] * tl.load(grad + where, mask=inside, other=0.0).to(tl.float32)
    where = channel[:, None] * x_channel + (row * x_row + column * x_column)[None, :]
    tl.store(
        grad_x + batch * x_batch + where, result.to(grad_x.dtype.element_ty),
        mask=is_channel[:, None] & is_pixel[None, :],
    )  # fmt: skip
