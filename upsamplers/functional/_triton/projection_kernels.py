"""The kernel of 1x1 convolutions with few outputs: x is read once, for up to two weights side by side.

A program has a block of pixels and all outputs; it goes through the channels of x.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import IN_FLOAT32, PRECISION, tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks, image_tile

KEYS = ("channels", *AUTOTUNE_KEYS, "BLOCK_N", "SHUFFLE", "stride_xp", "HAS_NORM")
SIZES = ("BLOCK_K", "BLOCK_P")
BLOCKS = blocks(
    SIZES,
    (16, 64, 4), (32, 64, 4), (16, 128, 4), (16, 64, 2), (32, 32, 2), (16, 32, 1), (32, 128, 8),
)  # fmt: skip


def fits(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether the sums of a program stay in registers."""
    return bool(arguments["BLOCK_N"] * config.kwargs["BLOCK_P"] <= 64 * 32 * config.num_warps)


@triton.jit
def load_weights(weight, output, is_output, channel, channels):
    """Weights (K, N) of channels and outputs; zero for outputs of another projection."""
    w_ptrs = weight + (output[None, :] * channels + channel[:, None])
    return tl.load(w_ptrs, mask=is_output[None, :] & (channel < channels)[:, None], other=0.0)


@tuned(BLOCKS, KEYS, fits=fits, derived=IN_FLOAT32 | PRECISION)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def project_fwd_kernel(
    x, weight, second_weight, bias, second_bias, norm_scale, norm_shift, out,
    channels, pixels, outputs, second_outputs, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xp, stride_ob, stride_oc, stride_op,
    SHUFFLE: tl.constexpr, BLOCK_N: tl.constexpr, HAS_SECOND: tl.constexpr, HAS_BIAS: tl.constexpr,
    HAS_SECOND_BIAS: tl.constexpr, HAS_NORM: tl.constexpr, ALIGN: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_P: tl.constexpr, IN_FLOAT32: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out[n·r² + q, p] = bias[n] + Σ_c weight[n, c] · x[c·r² + q, p] for r = SHUFFLE and each of its r² sub-pixels q.

    With HAS_NORM x is scaled and shifted, each of its channels by numbers of the image, before it is multiplied.
    """
    SUBS: tl.constexpr = SHUFFLE * SHUFFLE
    batch, sub = image_tile(SUBS)
    pixels, stride_xc, stride_oc = pixels // ALIGN * ALIGN, stride_xc // ALIGN * ALIGN, stride_oc // ALIGN * ALIGN
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    output = tl.arange(0, BLOCK_N)
    is_pixel = (pixel < pixels)[:, None]
    is_first, is_second = output < outputs, (output >= outputs) & (output < outputs + second_outputs)
    x += batch * stride_xb
    total = tl.zeros([BLOCK_P, BLOCK_N], tl.float32)
    for start in range(0, channels, BLOCK_K):
        channel = start + tl.arange(0, BLOCK_K)
        x_channel = channel * SUBS + sub
        mask = (channel < channels)[None, :] & is_pixel
        value = tl.load(x + ((x_channel * stride_xc)[None, :] + (pixel * stride_xp)[:, None]), mask=mask, other=0.0)
        if HAS_NORM:
            offs_n = batch * (channels * SUBS) + x_channel
            scale = tl.load(norm_scale + offs_n, mask=channel < channels, other=0.0)
            shift = tl.load(norm_shift + offs_n, mask=channel < channels, other=0.0)
            value = (value.to(tl.float32) * scale[None, :] + shift[None, :]).to(value.dtype)
        weights = load_weights(weight, output, is_first, channel, channels)
        if HAS_SECOND:
            weights += load_weights(second_weight, output - outputs, is_second, channel, channels)
        if IN_FLOAT32:
            value = value.to(tl.float32)
        total = tl.dot(value, weights.to(value.dtype), total, input_precision=PRECISION)

    if HAS_BIAS:
        total += tl.load(bias + output, mask=is_first, other=0.0).to(tl.float32)[None, :]
    if HAS_SECOND_BIAS:
        total += tl.load(second_bias + (output - outputs), mask=is_second, other=0.0).to(tl.float32)[None, :]
    o_ptrs = out + batch * stride_ob + (((output * SUBS + sub) * stride_oc)[None, :] + (pixel * stride_op)[:, None])
    mask = (is_first | is_second)[None, :] & is_pixel
    tl.store(o_ptrs, total.to(out.dtype.element_ty), mask=mask)
