"""Bicubic interpolation: torch's kernel goes through all channels in one thread a pixel."""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks, output_tile

# Contiguous rows: one channel at a time; contiguous channels: 16 bytes of them a thread.
ROWS = (
    (16, 1, 8, 32, 4), (32, 1, 8, 32, 4), (8, 1, 8, 32, 4), (16, 1, 4, 64, 4), (32, 1, 8, 64, 8), (32, 1, 4, 32, 4),
    (64, 1, 8, 32, 4), (16, 1, 4, 32, 4),
)  # fmt: skip
CHANNELS = ((64, 32, 4, 8, 4), (64, 64, 4, 8, 4), (128, 32, 4, 8, 4), (32, 16, 4, 8, 4), (64, 32, 2, 8, 4))


def for_layout(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether a configuration is for the layout of x: several channels a step only where channels are contiguous."""
    return bool((config.kwargs["STEP_C"] > 1) == (arguments["stride_xc"] == 1))


@triton.jit
def cubic_weights(part):
    """Of the pixels at -1, 0, 1 and 2, for a point `part` from 0 to 1 (Keys' kernel with a = -0.75)."""
    rest = 1.0 - part
    before = ((-0.75 * (part + 1.0) + 3.75) * (part + 1.0) - 6.0) * (part + 1.0) + 3.0
    first = (1.25 * part - 2.25) * part * part + 1.0
    second = (1.25 * rest - 2.25) * rest * rest + 1.0
    after = ((-0.75 * (rest + 1.0) + 3.75) * (rest + 1.0) - 6.0) * (rest + 1.0) + 3.0
    return before, first, second, after


@triton.jit
def clamped(index, length, stride):
    """The offset of a pixel along an axis; beyond the border that of the last."""
    return tl.minimum(tl.maximum(index, 0), length - 1) * stride


@triton.jit
def weighted_row(ptrs, a, b, c, d, weight_a, weight_b, weight_c, weight_d, mask):
    """The sum over four pixels of a row."""
    total = weight_a * tl.load(ptrs + a, mask=mask, other=0.0).to(tl.float32)
    total += weight_b * tl.load(ptrs + b, mask=mask, other=0.0).to(tl.float32)
    total += weight_c * tl.load(ptrs + c, mask=mask, other=0.0).to(tl.float32)
    return total + weight_d * tl.load(ptrs + d, mask=mask, other=0.0).to(tl.float32)


@tuned(
    blocks(("BLOCK_C", "STEP_C", "BLOCK_H", "BLOCK_W"), *ROWS, *CHANNELS),
    ("channels", *AUTOTUNE_KEYS, "S", "stride_xw"),
    fits=for_layout,
)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def bicubic_fwd_kernel(
    x, out,
    channels, height, width, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw, stride_ob, stride_oc, stride_oh, stride_ow,
    S: tl.constexpr, BLOCK_C: tl.constexpr, STEP_C: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """A rectangle of output pixels: weights and places serve all channels of a program."""
    batch = tl.program_id(2).to(tl.int64)
    row, column, is_out = output_tile(S * height, S * width, BLOCK_H, BLOCK_W)
    y, x_position = (row + 0.5) / S - 0.5, (column + 0.5) / S - 0.5
    top, left = tl.floor(y), tl.floor(x_position)
    upper, up, down, lower = cubic_weights(y - top)
    weight_a, weight_b, weight_c, weight_d = cubic_weights(x_position - left)
    top, left = top.to(tl.int32), left.to(tl.int32)
    a, b = clamped(left - 1, width, stride_xw)[None, :], clamped(left, width, stride_xw)[None, :]
    c, d = clamped(left + 1, width, stride_xw)[None, :], clamped(left + 2, width, stride_xw)[None, :]
    offs_0, offs_1 = clamped(top - 1, height, stride_xh)[None, :], clamped(top, height, stride_xh)[None, :]
    offs_2, offs_3 = clamped(top + 1, height, stride_xh)[None, :], clamped(top + 2, height, stride_xh)[None, :]
    step = tl.arange(0, STEP_C)[:, None]
    first = tl.program_id(1) * BLOCK_C
    x_ptrs = x + batch * stride_xb + (first + step) * stride_xc
    o_ptrs = out + batch * stride_ob + (first + step) * stride_oc + (row * stride_oh + column * stride_ow)[None, :]
    for start in range(first, tl.minimum(first + BLOCK_C, channels), STEP_C):
        mask = is_out[None, :] & (start + step < channels)
        value = upper * weighted_row(x_ptrs + offs_0, a, b, c, d, weight_a, weight_b, weight_c, weight_d, mask)
        value += up * weighted_row(x_ptrs + offs_1, a, b, c, d, weight_a, weight_b, weight_c, weight_d, mask)
        value += down * weighted_row(x_ptrs + offs_2, a, b, c, d, weight_a, weight_b, weight_c, weight_d, mask)
        value += lower * weighted_row(x_ptrs + offs_3, a, b, c, d, weight_a, weight_b, weight_c, weight_d, mask)
        tl.store(o_ptrs, value.to(out.dtype.element_ty), mask=mask)
        x_ptrs += STEP_C * stride_xc
        o_ptrs += STEP_C * stride_oc
