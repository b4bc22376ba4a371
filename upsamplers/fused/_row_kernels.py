"""What kernels share whose programs have a run of input pixels within one row, and how their blocks are chosen.

Within a row, pixels that lie side by side have addresses that do, for whatever width: what compilers need to know so
that the threads of a warp read neighbours.
"""

from collections.abc import Sequence
from typing import Any

import triton
import triton.language as tl

# Arguments for the choice of blocks alone: they need no code of their own.
KINDS = ("size", "images")
# The least of float32, and finite: minus infinity has no difference to itself.
LEAST = tl.constexpr(-3.4028234e38)
# A thread's sums in registers.
MOST_SUMS = 64


def tiles(*blocks: tuple[int, int, int]) -> list[Any]:
    """Configurations of (BLOCK_C, BLOCK_P, warps)."""
    return [
        triton.Config({"BLOCK_C": channels, "BLOCK_P": pixels}, num_warps=warps) for channels, pixels, warps in blocks
    ]


def fits(config: Any, sums: int, blocks: Sequence[Any]) -> bool:
    """Whether the sums of so many a pixel stay in registers; the last of the blocks is for whatever fits no other."""
    few = sums * config.kwargs["BLOCK_P"] <= MOST_SUMS * 32 * config.num_warps
    return bool(few or (config.kwargs, config.num_warps) == (blocks[-1].kwargs, blocks[-1].num_warps))


@triton.jit
def run_of_pixels(width, WIDE: tl.constexpr, BLOCK_P: tl.constexpr):
    """The row of a program's input pixels, the first column, and all of them."""
    many = tl.cdiv(width, BLOCK_P)
    row, first = tl.program_id(0) // many, tl.program_id(0) % many * BLOCK_P
    if WIDE:
        row, first = row.to(tl.int64), first.to(tl.int64)
    return row, first, first + tl.arange(0, BLOCK_P)


@triton.jit
def has_row(row, height, column):
    """Whether an image has this row, said for each of the columns: what interprets kernels masks by no lone truth."""
    rows = row + tl.zeros_like(column)
    return (rows >= 0) & (rows < height)


@triton.jit
def store_outputs(
    out, value, row, first, column, channel, channels, width, out_channel, out_row, out_column,
    S: tl.constexpr, SUBS: tl.constexpr, IN_ROWS: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Writes (SUBS, C, P); where output pixels lie in rows, a whole row of them side by side."""
    if IN_ROWS and SUBS == S * S and S > 1:
        value = tl.permute(tl.reshape(value, (S, S, BLOCK_C, BLOCK_P)), (0, 2, 3, 1))
        value = tl.reshape(value, (S, BLOCK_C, BLOCK_P * S))
        across = first * S + tl.arange(0, BLOCK_P * S)
        where = channel[None, :, None] * out_channel + ((row * S + tl.arange(0, S)) * out_row)[:, None, None]
        where = where + (across * out_column)[None, None, :]
        inside = (channel < channels)[None, :, None] & (across < width * S)[None, None, :]
    else:
        sub = tl.arange(0, SUBS)
        where = channel[None, :, None] * out_channel + ((row * S + sub // S) * out_row)[:, None, None]
        where = where + ((column * S)[None, :] + (sub % S)[:, None])[:, None, :] * out_column
        inside = (channel < channels)[None, :, None] & (column < width)[None, None, :] & (sub < S * S)[:, None, None]
    tl.store(out + where, value.to(out.dtype.element_ty), mask=inside)
