"""Into what blocks an attention over points is cut, and how its images look block by block.

Shapes are those of `attended_points`: Z groups, P = k² points, D channels of query and key. A block has N pixels; what
belongs to them is laid out pixel by pixel, channels last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor

import torch
from torch import Tensor

from upsamplers.functional._torch.bilinear_taps import BORDER

CPU_AT_LEAST, CPU_AT_MOST = 2 * 2**20, 16 * 2**20
GPU_AT_LEAST = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Where an output pixel looks: at k x k points around it, each moved by at most `reach` output pixels.

    Attributes:
        kernel, groups: k and Z; each of the Z contiguous channel groups has points of its own.
        reach: the most that a point moves along an axis.
    """

    kernel: int
    groups: int
    reach: float

    @property
    def points(self) -> int:
        """P = k²."""
        return self.kernel**2

    def steps(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """How far down and how far across the points lie unmoved, row by row; (P) each."""
        points = torch.arange(self.points, dtype=like.dtype, device=like.device)
        down = points.div(self.kernel, rounding_mode="floor")
        return down - self.kernel // 2, points - down * self.kernel - self.kernel // 2


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of output pixels: some of one image, or all of several.

    Attributes:
        images, rows: of the output.
        band: the rows that their points can reach, in an image with its border.
    """

    images: slice
    rows: slice
    band: slice


def blocks(x: Tensor, query: Tensor, hood: Neighbourhood | None, numbers: int) -> Iterator[Block]:
    """Cuts the output into blocks whose buffers take a quarter of it, on CPU no more than a cache holds.

    Smaller ones read, and backward add up, overlapping bands more often, and wait for each other's threads.

    Args:
        x: (B, C, H, W).
        query: (B, D, sH, sW).
        hood: where the points are; None: anywhere.
        numbers: that a pixel takes in the buffers of a block.
    """
    itemsize, (tall, wide) = max(4, x.element_size()), query.shape[2:]
    budget = x.shape[0] * x.shape[1] * tall * wide * itemsize // 4
    if x.device.type == "cpu":
        budget = min(max(budget, CPU_AT_LEAST), CPU_AT_MOST)
    else:
        budget = max(budget, GPU_AT_LEAST)
    rows = max(1, budget // (wide * numbers * itemsize))
    images = max(1, rows // tall)
    for first in range(0, x.shape[0], images):
        for top in range(0, tall, rows):
            part = slice(top, min(top + rows, tall))
            yield Block(slice(first, min(first + images, x.shape[0])), part, _band(part, x.shape[2], tall, hood))


def _band(rows: slice, height: int, tall: int, hood: Neighbourhood | None) -> slice:
    """The rows, of `height` with its border, that points of these rows of `tall` can reach, with a border of its own.

    Points move to the edge of a band where they would leave it, so that it has to reach as far beyond them, if there is
    anything but zeros.
    """
    if hood is None or rows.stop - rows.start == tall:
        return slice(0, height + 2 * BORDER)
    ratio, most = (height - 1) / max(1, tall - 1), hood.reach + hood.kernel // 2
    first, last = floor((rows.start - most) * ratio), ceil((rows.stop - 1 + most) * ratio)
    return slice(min(max(0, first), height), max(min(height, last + 1), 0) + 2 * BORDER)


def pixels_of(image: Tensor, block: Block, dtype: torch.dtype) -> Tensor:
    """A block of an image (B, C, sH, sW) pixel by pixel: (N, C)."""
    part = image[block.images, :, block.rows]
    last = part.permute(0, 2, 3, 1)
    if len(part) > 1 or last.is_contiguous():
        return last.to(dtype).reshape(-1, part.shape[1])
    # torch turns in tiles what is packed, and all else number by number.
    return part[0].flatten(1).to(dtype).contiguous().t().contiguous()


def write_pixels(pixels: Tensor, image: Tensor, block: Block) -> None:
    """Writes a block (N, C) into an image (B, C, sH, sW)."""
    part = image[block.images, :, block.rows]
    last = part.permute(0, 2, 3, 1)
    if len(part) > 1 or last.is_contiguous():
        last.copy_(pixels.view(last.shape))
    else:
        part[0].copy_(pixels.t().contiguous().view(part.shape[1:]))
