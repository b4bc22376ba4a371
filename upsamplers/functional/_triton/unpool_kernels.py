"""Kernels that place values at indices which, as a rule, lie in each value's own S x S window of the output."""

import triton
import triton.language as tl

from upsamplers.functional._triton.launch import tuned
from upsamplers.functional._triton.tiles import AUTOTUNE_KEYS, blocks, fits_layout, store_outputs

SIZES = ("BLOCK_C", "BLOCK_P")
ROW_BLOCKS = blocks(SIZES, (4, 64, 4), (1, 128, 4), (1, 256, 4), (2, 128, 4), (8, 64, 4), (4, 128, 4), (1, 64, 2))
CHANNEL_BLOCKS = blocks(SIZES, (32, 8, 4), (64, 8, 4), (128, 4, 4), (64, 4, 4), (32, 16, 4))
KEYS = ("channels", *AUTOTUNE_KEYS, "S", "IN_ROWS")


@tuned([*ROW_BLOCKS, *CHANNEL_BLOCKS], KEYS, fits=fits_layout)
@triton.jit(do_not_specialize=AUTOTUNE_KEYS)
def unpool_fwd_kernel(
    x, index, out, channels, height, width, tune_pixels, tune_images,
    stride_xb, stride_xc, stride_xh, stride_xw, stride_ib, stride_ic, stride_ih, stride_iw,
    stride_ob, stride_oc, stride_oh, stride_ow,
    S: tl.constexpr, SUBS: tl.constexpr, STRAYS: tl.constexpr, IN_ROWS: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Writes each window with its value where the index says; or only the values whose index is elsewhere (STRAYS)."""
    batch = tl.program_id(2).to(tl.int64)
    tiles = tl.cdiv(width, BLOCK_P)
    row, first = tl.program_id(0) // tiles, tl.program_id(0) % tiles * BLOCK_P
    column = first + tl.arange(0, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    mask = (channel < channels)[:, None] & (column < width)[None, :]
    index += batch * stride_ib + row * stride_ih
    x += batch * stride_xb + row * stride_xh
    out += batch * stride_ob
    place = tl.load(index + (channel[:, None] * stride_ic + (column * stride_iw)[None, :]), mask=mask, other=-1)
    place = place.to(tl.int32)
    out_row = place // (width * S)
    out_column = place - out_row * (width * S)
    x_ptrs = x + (channel[:, None] * stride_xc + (column * stride_xw)[None, :])
    if STRAYS:
        is_inside = (place >= 0) & (out_row < height * S)
        strays = mask & is_inside & ((out_row // S != row) | (out_column // S != column[None, :]))
        value = tl.load(x_ptrs, mask=strays, other=0.0)
        offs = channel[:, None] * stride_oc + out_row * stride_oh + out_column * stride_ow
        tl.store(out + offs, value, mask=strays)
    else:
        value = tl.load(x_ptrs, mask=mask, other=0.0)
        sub = tl.arange(0, SUBS)[:, None, None]
        is_place = (out_row[None, :, :] == row * S + sub // S) & (
            out_column[None, :, :] == column[None, None, :] * S + sub % S
        )
        store_outputs(
            out, tl.where(is_place, value[None, :, :], 0.0), row, first, column, channel, channels, width,
            stride_oc, stride_oh, stride_ow, S, SUBS, IN_ROWS, BLOCK_C, BLOCK_P,
        )  # fmt: skip
