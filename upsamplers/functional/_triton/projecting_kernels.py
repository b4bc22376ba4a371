"""The kernel that does all of DySample-S at once: the shuffled 1x1 projection, the points, and what is read there.

A program has a block of input pixels with all their output pixels, and one group of channels. Each group projects its
pixels again, to its own displacements: more products for one launch and no displacements in memory.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.point_kernels import POINT_KEYS, UNMASKED, for_layout, sample_channels
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks, pixel_tile

# As of the point kernels: a channel at a time where rows are contiguous; BLOCK_P input pixels.
ROWS = ((1, 64, 4), (1, 32, 4), (1, 128, 4), (1, 128, 8))
CHANNELS = ((16, 16, 4), (8, 16, 4), (16, 32, 4), (8, 32, 4))
# Output pixels of a program, so that points stay in registers.
MOST_OUTPUTS = 1024


def fits(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether blocks are for the layout of x, and leave points in registers where any do."""
    pixels = config.kwargs["BLOCK_P"]
    return for_layout(config, arguments) and (pixels <= 32 or pixels * arguments["SUBS"] <= MOST_OUTPUTS)


@triton.jit
def project(
    x, weight, group, offs_pixel, is_pixel, stride_xc, depth, groups,
    S: tl.constexpr, SUBS: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The two coordinates of each output pixel from every s²-th channel, (SUBS, P) each."""
    sub = tl.arange(0, SUBS)
    offs_x = (sub * stride_xc)[:, None] + offs_pixel[None, :]
    sum_x = tl.zeros([SUBS, BLOCK_P], tl.float32)
    sum_y = tl.zeros([SUBS, BLOCK_P], tl.float32)
    weight += group * depth
    for _ in range(depth):
        pixels = tl.load(x + offs_x, mask=(sub < S * S)[:, None] & is_pixel[None, :], other=0.0).to(tl.float32)
        sum_x += tl.load(weight).to(tl.float32) * pixels
        sum_y += tl.load(weight + groups * depth).to(tl.float32) * pixels
        x += S * S * stride_xc
        weight += 1
    return sum_x, sum_y


@triton.jit
def by_output_pixel(value, S: tl.constexpr, SUBS: tl.constexpr, BLOCK_P: tl.constexpr):
    """(SUBS, P) as a row of output pixels: neighbours side by side where s is a power of two."""
    if SUBS == S * S:
        return tl.reshape(tl.permute(tl.reshape(value, (S, S, BLOCK_P)), (0, 2, 1)), (SUBS * BLOCK_P,))
    return tl.reshape(value, (SUBS * BLOCK_P,))


@tuned(blocks(("STEP_C", "BLOCK_P"), *ROWS, *CHANNELS), POINT_KEYS, fits=fits, derived=UNMASKED)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def project_and_sample_fwd_kernel(
    x, weight, bias, scope_weight, scope_bias, initial, out,
    channels, depth, height, width, groups, factor, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw, stride_x_pixel,
    stride_ob, stride_oc, stride_oh, stride_ow,
    S: tl.constexpr, SUBS: tl.constexpr, HAS_SCOPES: tl.constexpr, HAS_SCOPE_BIAS: tl.constexpr, WIDE: tl.constexpr,
    STEP_C: tl.constexpr, BLOCK_P: tl.constexpr, UNMASKED: tl.constexpr,
):  # fmt: skip
    """out[c, i, j] = x[c] read bilinearly at the point that x itself displaces from (i, j)."""
    batch, group, pixel = pixel_tile(groups, BLOCK_P)
    x += batch * stride_xb
    row, column, sub = pixel // width, pixel % width, tl.arange(0, SUBS)
    is_pixel = pixel < height * width
    # Rows follow one another without gaps, so that pixels side by side have addresses side by side, for any width.
    offs_pixel = pixel * stride_x_pixel
    if WIDE:
        offs_pixel = pixel.to(tl.int64) * stride_x_pixel

    raw_x, raw_y = project(x, weight, group, offs_pixel, is_pixel, stride_xc, depth, groups, S, SUBS, BLOCK_P)
    raw_x += tl.load(bias + group).to(tl.float32)
    raw_y += tl.load(bias + groups + group).to(tl.float32)
    gate_x = tl.full([SUBS, BLOCK_P], 1.0, tl.float32)
    gate_y = gate_x
    if HAS_SCOPES:
        gate_x, gate_y = project(
            x, scope_weight, group, offs_pixel, is_pixel, stride_xc, depth, groups, S, SUBS, BLOCK_P
        )
        if HAS_SCOPE_BIAS:
            gate_x += tl.load(scope_bias + group).to(tl.float32)
            gate_y += tl.load(scope_bias + groups + group).to(tl.float32)
        gate_x, gate_y = tl.sigmoid(gate_x), tl.sigmoid(gate_y)
    first = tl.where(sub < S * S, group * (S * S) + sub, 0)
    start_x = tl.load(initial + first).to(tl.float32)[:, None]
    start_y = tl.load(initial + first + groups * (S * S)).to(tl.float32)[:, None]
    px = by_output_pixel(column[None, :] + (start_x + factor * raw_x * gate_x), S, SUBS, BLOCK_P)
    py = by_output_pixel(row[None, :] + (start_y + factor * raw_y * gate_y), S, SUBS, BLOCK_P)

    index = tl.arange(0, SUBS * BLOCK_P)
    if SUBS == S * S:
        sub_row, in_pixel, sub_column = index // (BLOCK_P * S), index % (BLOCK_P * S) // S, index % S
    else:
        sub_row, in_pixel, sub_column = index // BLOCK_P // S, index % BLOCK_P, index // BLOCK_P % S
    in_pixel += tl.program_id(0) * BLOCK_P
    sample_channels(
        x, out + batch * stride_ob, px, py, in_pixel // width * S + sub_row, in_pixel % width * S + sub_column,
        (in_pixel < height * width) & (sub_row < S), group, channels, 0, channels, height, width,
        stride_xc, stride_xh, stride_xw, stride_oc, stride_oh, stride_ow, WIDE, STEP_C, UNMASKED,
    )  # fmt: skip
