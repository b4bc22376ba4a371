"""SIERRA's reassembly weights from the mean over the channels, in one pass over it."""

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, LOWEST, blocks, fits_registers

BLOCKS = blocks(("BLOCK_P",), (128, 4), (64, 4), (64, 2), (32, 1), (32, 2), (16, 4))


@tuned(BLOCKS, (*AUTOTUNE_KEYS, "K", "S"), fits=fits_registers(BLOCKS, lambda given: given["TAPS"]))
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def similarity_weights_fwd_kernel(
    mean, prior, weights,
    height, width, softening, tune_pixels, tune_images,
    K: tl.constexpr, S: tl.constexpr, TAPS: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The softmax over m of prior[m, sub] / ((mean of neighbour m − mean)² + softening), as (B, k²s², H, W)."""
    batch = tl.program_id(2).to(tl.int64)
    pixel, tap = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)[None, :], tl.arange(0, TAPS)[:, None]
    row, column = pixel // width, pixel % width
    down, right = row + (tap // K - K // 2), column + (tap % K - K // 2)
    mask = (tap < K * K) & (row < height)
    mean += batch * height * width
    inside = mask & (down >= 0) & (down < height) & (right >= 0) & (right < width)
    distance = tl.load(mean + (down * width + right), mask=inside, other=0.0)
    distance -= tl.load(mean + pixel, mask=row < height, other=0.0)
    similarity = 1.0 / (distance * distance + softening)
    weights += batch * (K * K * S * S) * height * width
    for sub in range(S * S):
        logit = similarity * tl.load(prior + (tap * (S * S) + sub), mask=tap < K * K, other=0.0).to(tl.float32)
        logit = tl.where(tap < K * K, logit, LOWEST)
        value = tl.exp(logit - tl.max(logit, axis=0, keep_dims=True))
        value = value * (1.0 / tl.sum(value, axis=0, keep_dims=True))
        w_ptrs = weights + ((tap * (S * S) + sub) * (height * width) + pixel)
        tl.store(w_ptrs, value.to(weights.dtype.element_ty), mask=mask)
