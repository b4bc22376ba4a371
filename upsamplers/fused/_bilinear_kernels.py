"""The kernel of bilinear interpolation's gradient; its forward is `sample_points` without offsets."""

import triton
import triton.language as tl

from upsamplers.fused._launch import tuned

# A few channels of a long run of pixels where rows are contiguous, many of a short one where channels are.
BLOCKS = [
    triton.Config({"BLOCK_C": channels, "BLOCK_P": pixels}, num_warps=warps)
    for channels, pixels, warps in ((8, 128, 4), (16, 128, 4), (8, 256, 4), (64, 32, 4), (32, 32, 4))
]


@tuned(BLOCKS, ("channels", "size", "images", "S", "x_column"))
@triton.jit
def bilinear_backward(
    grad, grad_x,
    channels, height, width, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    S: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The gradient by gathering: what reads a pixel is among the 2s x 2s outputs around it."""
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = tl.program_id(2).to(tl.int64)
    row, column = pixel // width, pixel % width
    is_pixel, is_channel = pixel < height * width, channel < channels
    if WIDE:
        row, column, channel = row.to(tl.int64), column.to(tl.int64), channel.to(tl.int64)
    grad += batch * out_batch
    result = tl.zeros([BLOCK_C, BLOCK_P], tl.float32)
    for near in range(4 * S * S):
        down, across = row * S + (near // (2 * S) - S // 2), column * S + (near % (2 * S) - S // 2)
        y = tl.minimum(tl.maximum((down.to(tl.float32) + 0.5) / S - 0.5, 0.0), height - 1.0)
        x = tl.minimum(tl.maximum((across.to(tl.float32) + 0.5) / S - 0.5, 0.0), width - 1.0)
        part = tl.maximum(1.0 - tl.abs(y - row), 0.0) * tl.maximum(1.0 - tl.abs(x - column), 0.0)
        reads = is_pixel & (down >= 0) & (down < S * height) & (across >= 0) & (across < S * width)
        where = channel[:, None] * out_channel + (down * out_row + across * out_column)[None, :]
        inside = is_channel[:, None] & (reads & (part > 0.0))[None, :]
        result += part[None, :] * tl.load(grad + where, mask=inside, other=0.0).to(tl.float32)
    where = channel[:, None] * x_channel + (row * x_row + column * x_column)[None, :]
    tl.store(
        grad_x + batch * x_batch + where, result.to(grad_x.dtype.element_ty),
        mask=is_channel[:, None] & is_pixel[None, :],
    )  # fmt: skip
