"""The kernel that does all of DySample-S at once: the shuffled 1x1 projection, the points, and what is read there.

A program has a block of input pixels with all their output pixels, and one group of channels. Each group projects its
pixels again, to its own displacements: more products for one launch and no displacements in memory.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.fused._launch import tuned
from upsamplers.fused._point_kernels import DISPLACED, WHOLE, read_channels
from upsamplers.fused._row_kernels import KINDS

# (STEP_C, BLOCK_P, warps). As in `sample_points`: a channel at a time where rows are contiguous; blocks are of input
# pixels.
ROWS = ((1, 64, 4), (1, 32, 4), (1, 128, 4), (1, 128, 8))
CHANNELS = ((16, 16, 4), (8, 16, 4), (16, 32, 4), (8, 32, 4))
BLOCKS = [
    triton.Config({"STEP_C": step, "BLOCK_P": pixels}, num_warps=warps) for step, pixels, warps in (*ROWS, *CHANNELS)
]
# Outputs of a program, so that points stay in registers.
MOST_OUTPUTS = 1024


def suits(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether blocks are for what lies contiguous in x, and leave points in registers, where any do."""
    fits = config.kwargs["BLOCK_P"] * arguments["SUBS"] <= MOST_OUTPUTS or config.kwargs["BLOCK_P"] <= 32
    return bool((config.kwargs["STEP_C"] > 1) == (arguments["x_channel"] == 1)) and fits


@triton.jit
def project_shuffled(
    x, weight, group, place, is_pixel, x_channel, depth, groups,
    S: tl.constexpr, SUBS: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The two coordinates of each output pixel from every s²-th channel, (SUBS, P) each."""
    sub = tl.arange(0, SUBS)
    where = (sub * x_channel)[:, None] + place[None, :]
    found_x = tl.zeros([SUBS, BLOCK_P], tl.float32)
    found_y = tl.zeros([SUBS, BLOCK_P], tl.float32)
    weight += group * depth
    for _ in range(depth):
        pixels = tl.load(x + where, mask=(sub < S * S)[:, None] & is_pixel[None, :], other=0.0).to(tl.float32)
        found_x += tl.load(weight).to(tl.float32) * pixels
        found_y += tl.load(weight + groups * depth).to(tl.float32) * pixels
        x += S * S * x_channel
        weight += 1
    return found_x, found_y


@triton.jit
def as_outputs(value, S: tl.constexpr, SUBS: tl.constexpr, BLOCK_P: tl.constexpr):
    """(SUBS, P) by output pixels: neighbours side by side where s is a power of two."""
    if SUBS == S * S:
        return tl.reshape(tl.permute(tl.reshape(value, (S, S, BLOCK_P)), (0, 2, 1)), (SUBS * BLOCK_P,))
    return tl.reshape(value, (SUBS * BLOCK_P,))


@tuned(BLOCKS, DISPLACED, suits=suits, derived=WHOLE)
@triton.jit(do_not_specialize=KINDS)
def project_and_sample(
    x, weight, bias, scope_weight, scope_bias, initial, out,
    channels, depth, height, width, groups, factor, size, images,
    x_batch, x_channel, x_row, x_column, x_pixel,
    out_batch, out_channel, out_row, out_column,
    S: tl.constexpr, SUBS: tl.constexpr, HAS_SCOPES: tl.constexpr, HAS_SCOPE_BIAS: tl.constexpr, WIDE: tl.constexpr,
    STEP_C: tl.constexpr, BLOCK_P: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    """out[c, i, j] = x[c] read bilinearly at the point that x itself displaces from (i, j)."""
    batch = (tl.program_id(1) // groups).to(tl.int64)
    group = tl.program_id(1) % groups
    x += batch * x_batch
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    row, column, sub = pixel // width, pixel % width, tl.arange(0, SUBS)
    is_pixel = pixel < height * width
    # Rows follow one another without gaps, so that pixels side by side have addresses that are, whatever the width.
    place = pixel * x_pixel
    if WIDE:
        place = pixel.to(tl.int64) * x_pixel

    first = tl.where(sub < S * S, group * (S * S) + sub, 0)
    second = first + groups * (S * S)
    raw_x, raw_y = project_shuffled(x, weight, group, place, is_pixel, x_channel, depth, groups, S, SUBS, BLOCK_P)
    raw_x += tl.load(bias + group).to(tl.float32)
    raw_y += tl.load(bias + groups + group).to(tl.float32)
    gate_x = tl.full([SUBS, BLOCK_P], 1.0, tl.float32)
    gate_y = gate_x
    if HAS_SCOPES:
        gate_x, gate_y = project_shuffled(
            x, scope_weight, group, place, is_pixel, x_channel, depth, groups, S, SUBS, BLOCK_P
        )
        if HAS_SCOPE_BIAS:
            gate_x += tl.load(scope_bias + group).to(tl.float32)
            gate_y += tl.load(scope_bias + groups + group).to(tl.float32)
        gate_x, gate_y = tl.sigmoid(gate_x), tl.sigmoid(gate_y)
    start_x = tl.load(initial + first).to(tl.float32)[:, None]
    start_y = tl.load(initial + second).to(tl.float32)[:, None]
    px = as_outputs(column[None, :] + (start_x + factor * raw_x * gate_x), S, SUBS, BLOCK_P)
    py = as_outputs(row[None, :] + (start_y + factor * raw_y * gate_y), S, SUBS, BLOCK_P)

    own = tl.arange(0, SUBS * BLOCK_P)
    if SUBS == S * S:
        sub_row, inside, sub_column = own // (BLOCK_P * S), own % (BLOCK_P * S) // S, own % S
    else:
        sub_row, inside, sub_column = own // BLOCK_P // S, own % BLOCK_P, own // BLOCK_P % S
    inside += tl.program_id(0) * BLOCK_P
    read_channels(
        x, out + batch * out_batch, px, py, inside // width * S + sub_row, inside % width * S + sub_column,
        (inside < height * width) & (sub_row < S), group, channels, 0, channels, height, width,
        x_channel, x_row, x_column, out_channel, out_row, out_column, WIDE, STEP_C, WHOLE,
    )  # fmt: skip
