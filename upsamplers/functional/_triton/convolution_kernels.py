"""The kernel of convolutions with few outputs: products of matrices, one of which is gathered from x.

A program has a block of pixels and all outputs. It goes through channels and taps in the order in which the weights lie
in memory: all taps of a channel side by side where rows are contiguous, all channels of a tap where channels are.
"""

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import PRECISION, tuned
from upsamplers.functional._triton.projection_kernels import fits
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks

KEYS = ("channels", *AUTOTUNE_KEYS, "BLOCK_N", "SIDE", "IN_ROWS")
BLOCKS = blocks(
    ("BLOCK_K", "BLOCK_P"), (32, 64, 4), (32, 128, 8), (64, 128, 8), (32, 128, 4), (16, 64, 4), (16, 128, 4)
)


@tuned(BLOCKS, KEYS, fits=fits, derived=PRECISION)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def convolve_fwd_kernel(
    x, weight, bias, out,
    channels, height, width, outputs, dilation, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xp, stride_ob, stride_oc, stride_op,
    SIDE: tl.constexpr, BLOCK_N: tl.constexpr, HAS_BIAS: tl.constexpr, IN_ROWS: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_P: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out[n, p] = bias[n] + Σ weight[n, c, t] · x[c, p + t] over channels c and taps t; x is zero outside."""
    TAPS: tl.constexpr = SIDE * SIDE
    REACH: tl.constexpr = SIDE // 2
    batch = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    row, column = pixel // width, pixel % width
    output = tl.arange(0, BLOCK_N)
    is_output = output < outputs
    inside = tl.zeros([BLOCK_P], tl.int32)  # a bit for each tap that reads a pixel of x
    for bit in tl.static_range(TAPS):
        tap_row, tap_column = row + (bit // SIDE - REACH) * dilation, column + (bit % SIDE - REACH) * dilation
        is_inside = (tap_row >= 0) & (tap_row < height) & (tap_column >= 0) & (tap_column < width)
        inside |= (is_inside & (row < height)).to(tl.int32) << bit

    depth = channels * TAPS
    x += batch * stride_xb
    total = tl.zeros([BLOCK_P, BLOCK_N], tl.float32)
    for start in range(0, depth, BLOCK_K):
        index = start + tl.arange(0, BLOCK_K)
        channel, tap = (index // TAPS, index % TAPS) if IN_ROWS else (index % channels, index // channels)
        is_tap = index < depth
        is_read = (inside[:, None] >> tl.where(is_tap, tap, TAPS)[None, :]) & 1
        shift = ((tap // SIDE - REACH) * width + tap % SIDE - REACH) * dilation
        offs_x = (channel * stride_xc + shift * stride_xp)[None, :] + (pixel * stride_xp)[:, None]
        value = tl.load(x + offs_x, mask=is_read != 0, other=0.0)
        w_ptrs = weight + (output[None, :] * depth + index[:, None])
        weights = tl.load(w_ptrs, mask=is_output[None, :] & is_tap[:, None], other=0.0)
        total = tl.dot(value, weights, total, input_precision=PRECISION)

    if HAS_BIAS:
        total += tl.load(bias + output, mask=is_output, other=0.0)[None, :]
    o_ptrs = out + batch * stride_ob + ((output * stride_oc)[None, :] + (pixel * stride_op)[:, None])
    tl.store(o_ptrs, total, mask=is_output[None, :] & (row < height)[:, None])
