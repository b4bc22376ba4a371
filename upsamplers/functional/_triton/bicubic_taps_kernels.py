"""Weights of windows of bicubically upsampled pixels, made those of the pixels that these are interpolated from."""

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks


@triton.jit
def clamped(index, length):
    """An index; beyond the border that of the last pixel."""
    return tl.minimum(tl.maximum(index, 0), length - 1)


@triton.jit
def interpolation(seen, read, length, S: tl.constexpr):
    """How much of input pixel `read` is in output pixel `seen` (reflected), along an axis of `length` input pixels."""
    seen = S * length - 1 - tl.abs(S * length - 1 - tl.abs(seen))
    place = 2 * seen + 1 - S + 2 * S  # in halves of an output pixel from input pixel -1; never negative
    first, part = place // (2 * S) - 1, (place % (2 * S)) / (2.0 * S)
    rest = 1.0 - part
    # Keys' weights of the pixels at -1, 0, 1 and 2, with a = -0.75.
    before = ((-0.75 * (part + 1.0) + 3.75) * (part + 1.0) - 6.0) * (part + 1.0) + 3.0
    near = (1.25 * part - 2.25) * part * part + 1.0
    next_near = (1.25 * rest - 2.25) * rest * rest + 1.0
    after = ((-0.75 * (rest + 1.0) + 3.75) * (rest + 1.0) - 6.0) * (rest + 1.0) + 3.0
    value = tl.where(clamped(first - 1, length) == read, before, 0.0)
    value += tl.where(clamped(first, length) == read, near, 0.0)
    value += tl.where(clamped(first + 1, length) == read, next_near, 0.0)
    return value + tl.where(clamped(first + 2, length) == read, after, 0.0)


@tuned(
    blocks(("BLOCK_P",), (128, 4), (64, 2), (32, 4), (64, 4), (256, 8)),
    (*AUTOTUNE_KEYS, "S", "K", "stride_wp"),
)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def bicubic_taps_kernel(
    weights, out,
    height, width, tune_pixels, tune_images,
    stride_wb, stride_wt, stride_wp, stride_ob, stride_ot, stride_op,
    S: tl.constexpr, K: tl.constexpr, M: tl.constexpr, TRANSPOSED: tl.constexpr,
    TAPS: tl.constexpr, OUT_TAPS: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """All taps of a run of output pixels, a row of the window after the other.

    `TRANSPOSED`: the other way, for gradients: from windows of M x M input pixels to windows of K x K output pixels.
    """
    batch = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    is_pixel = pixel < S * height * S * width
    row, column = pixel // (S * width), pixel % (S * width)
    tap, out_tap = tl.arange(0, TAPS)[:, None], tl.arange(0, OUT_TAPS)[:, None]
    SIDE: tl.constexpr = M if TRANSPOSED else K
    OUT_SIDE: tl.constexpr = K if TRANSPOSED else M
    if TRANSPOSED:
        across = interpolation(
            (column + out_tap - K // 2)[:, None, :], (column // S + tap - M // 2)[None, :, :], width, S
        )
    else:
        across = interpolation(
            (column + tap - K // 2)[None, :, :], (column // S + out_tap - M // 2)[:, None, :], width, S
        )  # (OUT_TAPS, TAPS, P)
    w_ptrs = weights + batch * stride_wb + tap * stride_wt + pixel * stride_wp
    total = tl.zeros((OUT_TAPS, OUT_TAPS, BLOCK_P), tl.float32)
    for line in range(SIDE):
        value = tl.load(w_ptrs, mask=is_pixel & (tap < SIDE), other=0.0).to(tl.float32)
        if TRANSPOSED:
            down = interpolation(row + out_tap - K // 2, row // S + line - M // 2, height, S)
        else:
            down = interpolation(row + line - K // 2, row // S + out_tap - M // 2, height, S)  # (OUT_TAPS, P)
        total += down[:, None, :] * tl.sum(across * value[None, :, :], axis=1)[None, :, :]
        w_ptrs += SIDE * stride_wt
    is_out = (out_tap < OUT_SIDE)[:, None, :] & (out_tap < OUT_SIDE)[None, :, :] & is_pixel[None, None, :]
    offs = (out_tap[:, None, :] * OUT_SIDE + out_tap[None, :, :]) * stride_ot + pixel[None, None, :] * stride_op
    tl.store(out + batch * stride_ob + offs, total.to(out.dtype.element_ty), mask=is_out)
