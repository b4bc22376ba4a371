"""Layer norm over the channels of an image, without turning it."""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks

# A thread keeps so many numbers of its pixels.
MOST_NUMBERS = 128


def fits_channels(config: Any, arguments: Mapping[str, Any]) -> bool:
    """Whether all channels of a program's pixels stay in registers; the last fits where no other does."""
    pixels = config.kwargs["BLOCK_P"]
    return pixels == 4 or bool(arguments["BLOCK_C"] * pixels <= MOST_NUMBERS * 32 * config.num_warps)


@tuned(
    blocks(("BLOCK_P",), (32, 4), (16, 4), (64, 8), (32, 8), (64, 4), (128, 4), (256, 4), (8, 4), (4, 4)),
    ("channels", *AUTOTUNE_KEYS, "stride_xp"),
    fits=fits_channels,
)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def channel_norm_fwd_kernel(
    x, weight, bias, out,
    channels, pixels, eps, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xp, stride_ob, stride_oc, stride_op,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """A program has all channels of a run of pixels, and reads them once."""
    batch = tl.program_id(2).to(tl.int64)
    channel, pixel = tl.arange(0, BLOCK_C)[:, None], (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[None, :]
    is_channel = channel < channels
    mask = is_channel & (pixel < pixels)
    value = tl.load(x + batch * stride_xb + channel * stride_xc + pixel * stride_xp, mask=mask, other=0.0)
    value = value.to(tl.float32)
    mean = tl.sum(value, axis=0)[None, :] / channels
    value = tl.where(is_channel, value - mean, 0.0)
    deviation = tl.sqrt(tl.sum(value * value, axis=0)[None, :] / channels + eps)
    gain = tl.load(weight + channel, mask=is_channel, other=0.0).to(tl.float32)
    shift = tl.load(bias + channel, mask=is_channel, other=0.0).to(tl.float32)
    value = value / deviation * gain + shift
    tl.store(out + batch * stride_ob + channel * stride_oc + pixel * stride_op, value, mask=mask)
