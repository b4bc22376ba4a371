"""Into what blocks a reassembly is cut, so that a block's buffers stay small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

CPU_AT_LEAST, CPU_AT_MOST = 2 * 2**20, 8 * 2**20
GPU_AT_LEAST = 8 * 2**20
CACHE_LINE = 64
FEWEST_CHANNELS = 32


@dataclass(frozen=True, slots=True)
class Cut:
    """How one reassembly is cut into blocks.

    Attributes:
        kernel, groups, scale: k, Z and s.
        images, rows, channels: the most of each in one block; several images only with all of their rows.
        pitch: D, from one pixel's channels to the next's in a block's buffers.
        dtype: what is computed in; on CPU at least float32.
    """

    kernel: int
    groups: int
    scale: int
    images: int
    rows: int
    channels: int
    pitch: int
    dtype: torch.dtype

    @property
    def border(self) -> int:
        """How far a window reaches beyond its pixel."""
        return self.kernel // 2

    def weighted(self, batch: int) -> Iterator[tuple[slice, slice, int]]:
        """The parts with weights of their own: their images, their channels of the weights, their group."""
        taps = self.kernel**2
        for first in range(0, batch, self.images):
            for group in range(self.groups):
                yield slice(first, first + self.images), slice(group * taps, (group + 1) * taps), group

    def depths(self, group: int, channels: int) -> Iterator[slice]:
        """The channels of x of each part of a group."""
        start, end = group * channels // self.groups, (group + 1) * channels // self.groups
        for first in range(start, end, self.channels):
            yield slice(first, min(first + self.channels, end))

    def bands(self, height: int) -> Iterator[slice]:
        """The rows of each block."""
        for first in range(0, height, self.rows):
            yield slice(first, min(first + self.rows, height))


def cut_for(x: Tensor, kernel: int, groups: int, scale: int) -> Cut:
    """Chooses blocks of about an eighth of the output: on CPU at most what a cache holds, on a GPU enough to fill it.

    Args:
        x: (B, C, H, W).
        kernel, groups, scale: k, Z and s.
    """
    batch, channels, height, width = x.shape
    depth = channels // groups
    budget = x.numel() * scale**2 * x.element_size() // 8
    if x.device.type == "cpu":
        dtype = torch.promote_types(x.dtype, torch.float32)
        budget, fewest = min(max(budget, CPU_AT_LEAST), CPU_AT_MOST), FEWEST_CHANNELS
    else:
        dtype, budget, fewest = x.dtype, max(budget, GPU_AT_LEAST), depth
    row = (width + kernel - 1) * (kernel + scale**2) * dtype.itemsize
    pieces = max(1, min(-(-row * depth // budget), depth // fewest))
    depth = -(-depth // pieces)
    rows = max(1, budget // (row * depth))
    pitch = _pitch(depth, dtype) if x.device.type == "cpu" else depth
    return Cut(kernel, groups, scale, max(1, min(batch, rows // height)), min(rows, height), depth, pitch, dtype)


def _pitch(channels: int, dtype: torch.dtype) -> int:
    """Channels from one pixel to the next: an even number of cache lines would crowd a row into few sets of a cache."""
    line = CACHE_LINE // dtype.itemsize
    return channels if channels % (2 * line) else channels + line
