"""The kernel that does all of DySample at once: the 1x1 projection, the points, and what is read there.

A program has a block of input pixels with all their output pixels, and one group of channels; the groups of a pixel
project it anew, each to its own displacements, which is more products for one launch and no displacements in memory.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.fused._launch import tuned
from upsamplers.fused._point_kernels import DISPLACED, WHOLE, read_channels
from upsamplers.fused._row_kernels import KINDS

# (STEP_C, BLOCK_P, warps). As in `sample_points`: a channel at a time where rows are contiguous; blocks are of input
# pixels, of which a product has 16 at least.
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
def project(
    x, weight, scope_weight, group, place, is_pixel, x_channel, depth, groups,
    S: tl.constexpr, SUBS: tl.constexpr, KINDS: tl.constexpr, ROWS: tl.constexpr, DEPTH: tl.constexpr,
    WIDE: tl.constexpr, INTERPRETED: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Style "lp": the group's rows of the projection's matrix times the pixels, (KINDS, SUBS, P).

    Kinds are the coordinates x and y, and their scopes.
    """
    row = tl.arange(0, ROWS)
    which, sub = row // SUBS, row % SUBS
    first = (which % 2 * groups + group) * (S * S) + sub
    is_row, inner = sub < S * S, tl.arange(0, DEPTH)
    if WIDE:
        inner = inner.to(tl.int64)
    found = tl.zeros([ROWS, BLOCK_P], tl.float32)
    for start in range(0, depth, DEPTH):
        is_inner = start + inner < depth
        where = first[:, None] * depth + (start + inner)[None, :]
        some = is_row[:, None] & is_inner[None, :]
        factors = tl.load(weight + where, mask=some & (which < 2)[:, None], other=0.0)
        if KINDS == 4:
            scopes = tl.load(scope_weight + where, mask=some & ((which >= 2) & (which < 4))[:, None], other=0.0)
            factors = tl.where((which >= 2)[:, None], scopes, factors)
        pixels = tl.load(
            x + (start + inner)[:, None] * x_channel + place[None, :],
            mask=is_inner[:, None] & is_pixel[None, :],
            other=0.0,
        )
        if INTERPRETED:  # whose products of bfloat16 are those of its bits
            factors, pixels = factors.to(tl.float32), pixels.to(tl.float32)
        found = tl.dot(factors, pixels, found, input_precision="ieee")
    return tl.reshape(found, (ROWS // SUBS, SUBS, BLOCK_P))


@triton.jit
def one_kind(found, kind: tl.constexpr, KINDS: tl.constexpr):
    """(SUBS, P) of (KINDS, SUBS, P)."""
    return tl.sum(tl.where((tl.arange(0, KINDS) == kind)[:, None, None], found, 0.0), axis=0)


@triton.jit
def project_shuffled(
    x, weight, group, place, is_pixel, x_channel, depth, groups,
    S: tl.constexpr, SUBS: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Style "pl": the two coordinates of each output pixel from every s²-th channel, (SUBS, P) each."""
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


@tuned(BLOCKS, (*DISPLACED, "SHUFFLED"), suits=suits, derived=WHOLE)
@triton.jit(do_not_specialize=KINDS)
def project_and_sample(
    x, weight, bias, scope_weight, scope_bias, initial, out,
    channels, depth, height, width, groups, factor, size, images,
    x_batch, x_channel, x_row, x_column, x_pixel,
    out_batch, out_channel, out_row, out_column,
    S: tl.constexpr, SUBS: tl.constexpr, ROWS: tl.constexpr, DEPTH: tl.constexpr, SHUFFLED: tl.constexpr,
    HAS_SCOPES: tl.constexpr, HAS_SCOPE_BIAS: tl.constexpr, WIDE: tl.constexpr, INTERPRETED: tl.constexpr,
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
    # Shuffled, all output pixels have one bias, of their group.
    bias_x = group + 0 * sub if SHUFFLED else first
    bias_y = bias_x + (groups if SHUFFLED else groups * (S * S))
    gate_x = tl.full([SUBS, BLOCK_P], 1.0, tl.float32)
    gate_y = gate_x
    if SHUFFLED:
        raw_x, raw_y = project_shuffled(x, weight, group, place, is_pixel, x_channel, depth, groups, S, SUBS, BLOCK_P)
        if HAS_SCOPES:
            gate_x, gate_y = project_shuffled(
                x, scope_weight, group, place, is_pixel, x_channel, depth, groups, S, SUBS, BLOCK_P
            )
    else:
        found = project(
            x, weight, scope_weight, group, place, is_pixel, x_channel, depth, groups,
            S, SUBS, 4 if HAS_SCOPES else 2, ROWS, DEPTH, WIDE, INTERPRETED, BLOCK_P,
        )  # fmt: skip
        raw_x, raw_y = one_kind(found, 0, ROWS // SUBS), one_kind(found, 1, ROWS // SUBS)
        if HAS_SCOPES:
            gate_x, gate_y = one_kind(found, 2, ROWS // SUBS), one_kind(found, 3, ROWS // SUBS)
    raw_x += tl.load(bias + bias_x).to(tl.float32)[:, None]
    raw_y += tl.load(bias + bias_y).to(tl.float32)[:, None]
    if HAS_SCOPES:
        if HAS_SCOPE_BIAS:
            gate_x += tl.load(scope_bias + bias_x).to(tl.float32)[:, None]
            gate_y += tl.load(scope_bias + bias_y).to(tl.float32)[:, None]
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
