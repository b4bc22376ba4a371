"""The weights of a learned joint bilateral filter from its range weights, in one pass over them."""

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks


# Small: a product in float32 holds what it multiplies in registers.
@tuned(
    blocks(("BLOCK_P",), (16, 4), (32, 8), (16, 8), (32, 16)),
    (*AUTOTUNE_KEYS, "K", "stride_rp", "stride_gp"),
)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def bilateral_weights_fwd_kernel(
    range_weights, sigma, guide, weight, second_weight, second_bias, out,
    pixels, least, share, tune_pixels, tune_images,
    stride_rb, stride_rt, stride_rp, stride_gb, stride_gt, stride_gp, stride_wo, stride_wi,
    K: tl.constexpr, TAPS: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """All taps of a run of pixels."""
    batch = tl.program_id(2).to(tl.int64)
    pixel, tap = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P), tl.arange(0, TAPS)
    is_tap, mask = tap < K * K, (tap < K * K)[:, None] & (pixel < pixels)[None, :]
    offs = batch * stride_rb + tap[:, None] * stride_rt + pixel[None, :] * stride_rp
    value = tl.load(range_weights + offs, mask=mask, other=0.0).to(tl.float32)
    # Distances from the middle of [-1, 1]².
    down, right = (tap // K) * (2.0 / (K - 1)) - 1.0, (tap % K) * (2.0 / (K - 1)) - 1.0
    deviation = tl.load(sigma).to(tl.float32)
    value *= tl.exp(-(down * down + right * right) / (2.0 * deviation * deviation))[:, None]
    value = value / tl.maximum(tl.sum(value, axis=0), least, propagate_nan=tl.PropagateNan.ALL)[None, :]
    is_weight = is_tap[:, None] & is_tap[None, :]
    w_ptrs = weight + tap[:, None] * stride_wo + tap[None, :] * stride_wi
    hidden = tl.dot(tl.load(w_ptrs, mask=is_weight, other=0.0).to(tl.float32), value, input_precision="ieee")
    g_ptrs = guide + batch * stride_gb + tap[:, None] * stride_gt + pixel[None, :] * stride_gp
    hidden += tl.load(g_ptrs, mask=mask, other=0.0).to(tl.float32)
    hidden = 0.5 * hidden * (1.0 + tl.erf(hidden * 0.7071067811865476))  # GELU
    w_ptrs = second_weight + tap[:, None] * (K * K) + tap[None, :]
    correction = tl.dot(tl.load(w_ptrs, mask=is_weight, other=0.0).to(tl.float32), hidden, input_precision="ieee")
    correction += tl.load(second_bias + tap, mask=is_tap, other=0.0).to(tl.float32)[:, None]
    tl.store(out + offs, (value + share * correction).to(out.dtype.element_ty), mask=mask)
