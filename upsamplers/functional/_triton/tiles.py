"""What all kernels share: a program's part of the grid, stores of output pixels, and which block sizes fit.

The grid is (rectangles of pixels, blocks of channels, images · groups), see `rectangle_grid`. Pixels side by side
within a row have addresses side by side, for any width: what compilers need to know so that a warp's threads read
neighbours.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import triton
import triton.language as tl

# Arguments for the choice of blocks alone: they need no code of their own.
AUTOTUNE_KEYS = ("tune_pixels", "tune_images")
# The lowest float32, and finite: minus infinity minus itself is NaN.
LOWEST = tl.constexpr(-3.4028234e38)
# Sums that a thread keeps in registers.
MOST_SUMS = 64


def blocks(names: Sequence[str], *sizes: tuple[int, ...]) -> list[Any]:
    """Configurations with these block sizes; the last number of each is its warps."""
    return [triton.Config(dict(zip(names, numbers, strict=False)), num_warps=numbers[-1]) for numbers in sizes]


def fits_registers(
    configs: Sequence[Any], sums: Callable[[Mapping[str, Any]], int]
) -> Callable[[Any, Mapping[str, Any]], bool]:
    """A rule that a program's sums a pixel stay in registers; the last configuration is for what fits no other."""
    last = configs[-1]

    def fits(config: Any, arguments: Mapping[str, Any]) -> bool:
        count = sums({**arguments, **config.kwargs}) * config.kwargs["BLOCK_P"]
        return config is last or count <= MOST_SUMS * 32 * config.num_warps

    return fits


def fits_layout(config: Any, arguments: Mapping[str, Any]) -> bool:
    """A rule that blocks of few channels are for contiguous rows, those of many for channels_last."""
    return bool((config.kwargs["BLOCK_C"] < 16) == arguments["IN_ROWS"])


@triton.jit
def image_tile(groups):
    """The image and the group of channels of a program."""
    return (tl.program_id(2) // groups).to(tl.int64), tl.program_id(2) % groups


@triton.jit
def output_tile(height, width, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr):
    """The rows and columns of a program's output pixels (N), and which of them are in the image."""
    tiles = tl.cdiv(width, BLOCK_W)
    pixel = tl.arange(0, BLOCK_H * BLOCK_W)
    row = tl.program_id(0) // tiles * BLOCK_H + pixel // BLOCK_W
    column = tl.program_id(0) % tiles * BLOCK_W + pixel % BLOCK_W
    return row, column, (row < height) & (column < width)


@triton.jit
def store_outputs(
    out, value, row, first, column, channel, channels, width, stride_oc, stride_oh, stride_ow,
    S: tl.constexpr, SUBS: tl.constexpr, IN_ROWS: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Writes (SUBS, C, P); where rows are contiguous, a row of output pixels side by side."""
    if IN_ROWS and SUBS == S * S and S > 1:
        value = tl.permute(tl.reshape(value, (S, S, BLOCK_C, BLOCK_P)), (0, 2, 3, 1))
        value = tl.reshape(value, (S, BLOCK_C, BLOCK_P * S))
        out_column = first * S + tl.arange(0, BLOCK_P * S)
        offs_out = channel[None, :, None] * stride_oc + ((row * S + tl.arange(0, S)) * stride_oh)[:, None, None]
        offs_out = offs_out + (out_column * stride_ow)[None, None, :]
        mask = (channel < channels)[None, :, None] & (out_column < width * S)[None, None, :]
    else:
        sub = tl.arange(0, SUBS)
        offs_out = channel[None, :, None] * stride_oc + ((row * S + sub // S) * stride_oh)[:, None, None]
        offs_out = offs_out + ((column * S)[None, :] + (sub % S)[:, None])[:, None, :] * stride_ow
        mask = (channel < channels)[None, :, None] & (column < width)[None, None, :] & (sub < S * S)[:, None, None]
    tl.store(out + offs_out, value.to(out.dtype.element_ty), mask=mask)
