"""The kernel of bilinear interpolation's gradient; its forward is `sample_points` without offsets."""

import triton
import triton.language as tl

from upsamplers.fused._launch import tuned
from upsamplers.fused._row_kernels import KINDS, has_row, run_of_pixels, tiles

# A few channels of a long run of pixels where rows are contiguous, many of a short one where channels are.
BLOCKS = tiles((8, 64, 4), (16, 64, 4), (4, 128, 4), (64, 16, 4), (32, 32, 4))


@tuned(BLOCKS, ("channels", "size", "images", "S", "x_column"))
@triton.jit(do_not_specialize=KINDS)
def bilinear_backward(
    grad, grad_x,
    channels, height, width, size, images,
    x_batch, x_channel, x_row, x_column,
    out_batch, out_channel, out_row, out_column,
    S: tl.constexpr, SIDES: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """The gradient by gathering: what reads a pixel is among the 2s x 2s outputs around it.

    A thread sums for one of the s output columns of a pixel, so that gradients are read side by side.
    """
    row, first, column = run_of_pixels(width, WIDE, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    batch = tl.program_id(2).to(tl.int64)
    if WIDE:
        channel = channel.to(tl.int64)
    is_channel = channel < channels
    pixel = first + tl.arange(0, BLOCK_P * SIDES) // SIDES
    sub = tl.arange(0, BLOCK_P * SIDES) % SIDES
    own = first * S + tl.arange(0, BLOCK_P * SIDES) if SIDES == S else pixel * S + sub
    is_out = (pixel < width) & (sub < S)
    grad += batch * out_batch
    there = channel[:, None] * out_channel + (own * out_column)[None, :]
    result = tl.zeros([BLOCK_C, BLOCK_P * SIDES], tl.float32)
    for near in range(2 * S):
        down = row * S + near - S // 2
        y = tl.minimum(tl.maximum((down.to(tl.float32) + 0.5) / S - 0.5, 0.0), height - 1.0)
        part_y = tl.maximum(1.0 - tl.abs(y - row), 0.0)
        seen = is_out & has_row(down, S * height, pixel)
        for side in tl.static_range(2):  # s columns on, of the 2s from s // 2 on the left
            step = side * S - S // 2
            across = own + step
            x = tl.minimum(tl.maximum((across.to(tl.float32) + 0.5) / S - 0.5, 0.0), width - 1.0)
            part = part_y * tl.maximum(1.0 - tl.abs(x - pixel), 0.0)
            reads = seen & (across >= 0) & (across < S * width) & (part > 0.0)
            found = tl.load(
                grad + down * out_row + there + step * out_column, mask=is_channel[:, None] & reads[None, :], other=0.0
            )
            result += part[None, :] * found.to(tl.float32)
    total = tl.sum(tl.reshape(result, (BLOCK_C, BLOCK_P, SIDES)), axis=2)
    where = channel[:, None] * x_channel + (row * x_row + column * x_column)[None, :]
    tl.store(
        grad_x + batch * x_batch + where, total.to(grad_x.dtype.element_ty),
        mask=is_channel[:, None] & (column < width)[None, :],
    )  # fmt: skip
