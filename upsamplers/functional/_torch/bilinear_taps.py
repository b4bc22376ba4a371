"""Bilinear samples as weighted sums over the rows of a table of pixels, without a copy of any sample.

A table holds an image pixel by pixel, with BORDER zero pixels around it: (B, H + 4, W + 4, C), or, cut into Z groups of
channels, Z rows of C/Z numbers a pixel. A sample is a sum over four of its rows, the taps; a weighted sum of samples is
a sum over as many rows more. `embedding_bag` sums rows without copying them out, and so do its gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Two: the taps of a point that is moved this far out, both along an axis, are zero.
BORDER = 2


@dataclass(frozen=True, slots=True)
class Taps:
    """The four pixels around each of P points of N pixels in Z groups.

    Attributes:
        rows: of the table, (N, Z, P, 4): the pixel up left, up right, down left and down right of the point.
        down: how far the point lies below the upper two, as a fraction, (N, Z, P).
        across: how far it lies right of the left two.
    """

    rows: Tensor
    down: Tensor
    across: Tensor

    def weights(self) -> Tensor:
        """Of the four pixels in the point's sample, (N, Z, P, 4)."""
        weights = self.down.new_empty(self.rows.shape)
        up_left, up_right, down_left, down_right = weights.unbind(-1)
        torch.mul(self.down, self.across, out=down_right)
        torch.sub(self.down, down_right, out=down_left)
        torch.sub(self.across, down_right, out=up_right)
        torch.sub(1 - self.down, up_right, out=up_left)
        return weights

    def between(self, corners: Tensor) -> Tensor:
        """Interpolates values (N, Z, P, 4) of the four pixels at the point: (N, Z, P)."""
        upper, lower = self._sides(corners)
        return upper.lerp_(lower, self.down)

    def slopes(self, corners: Tensor) -> tuple[Tensor, Tensor]:
        """How fast that changes as the point goes down, and as it goes across: (N, Z, P) each."""
        up_left, up_right, down_left, down_right = corners.unbind(-1)
        upper, lower = self._sides(corners)
        return lower.sub_(upper), (up_right - up_left).lerp_(down_right - down_left, self.down)

    def _sides(self, corners: Tensor) -> tuple[Tensor, Tensor]:
        up_left, up_right, down_left, down_right = corners.unbind(-1)
        return torch.lerp(up_left, up_right, self.across), torch.lerp(down_left, down_right, self.across)


def find_taps(down: Tensor, across: Tensor, size: tuple[int, int, int]) -> Taps:
    """The taps of points of B images, in pixels; a point may lie outside, or be no number.

    Args:
        down: rows within the table, fractions included, (B, rows, columns, Z, P); overwritten.
        across: columns within it; overwritten.
        size: the rows and columns of the table, and its groups.
    """
    tall, wide, groups = size
    row, column = _split(down, tall), _split(across, wide)
    first = row.mul_(wide).add_(column).mul_(groups)  # (B, rows, columns, Z, P)
    first.add_(torch.arange(groups, dtype=first.dtype, device=first.device).unsqueeze(1))
    if len(first) > 1:
        images = torch.arange(0, len(first), dtype=first.dtype, device=first.device)
        first.add_(images.mul_(tall * wide * groups).view(-1, 1, 1, 1, 1))
    first = first.flatten(0, 2)  # (N, Z, P)
    rows = torch.empty((*first.shape, 4), dtype=first.dtype, device=first.device)
    for tap, step in enumerate((0, groups, wide * groups, (wide + 1) * groups)):
        torch.add(first, step, out=rows[..., tap])
    return Taps(rows, down.flatten(0, 2), across.flatten(0, 2))


def _split(positions: Tensor, length: int) -> Tensor:
    """The integer part of positions, which keep their fraction."""
    floor = positions.clamp_(0, length - BORDER).floor()
    positions.sub_(floor)
    # What is no number stays none in its fraction, but must not be a row far away.
    return floor.to(torch.int32).clamp_(0, length - BORDER)


def table_of(image: Tensor, dtype: torch.dtype) -> Tensor:
    """An image (B, C, H, W) as a table (B, H + 4, W + 4, C)."""
    batch, channels, height, width = image.shape
    table = image.new_zeros((batch, height + 2 * BORDER, width + 2 * BORDER, channels), dtype=dtype)
    inside(table).copy_(image)
    return table


def inside(table: Tensor) -> Tensor:
    """A table (B, H + 4, W + 4, C) without its border, seen as an image (B, C, H, W)."""
    return table[:, BORDER:-BORDER, BORDER:-BORDER].permute(0, 3, 1, 2)


def sums_of_rows(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums over rows of a table (R, C): rows and weights (M, T) -> (M, C)."""
    return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)


def dots_with_rows(table: Tensor, rows: Tensor, vectors: Tensor) -> Tensor:
    """Dot products of each vector with its rows of a table (R, C): rows (M, T), vectors (M, C) -> (M, T)."""
    count, each = rows.shape
    owner = torch.arange(count, dtype=rows.dtype, device=rows.device)
    # The gradient that autograd takes for embedding_bag's weights; through autograd it would want the sums too.
    dots: Tensor = torch.ops.aten._embedding_bag_per_sample_weights_backward(
        vectors, table, rows.flatten(), owner * each, owner.unsqueeze(1).expand(-1, each).flatten(), 0
    )
    return dots.view(rows.shape)


class Spread:
    """The transpose of `sums_of_rows`: what vectors give to the rows that they were summed from.

    What goes to one row is sorted next to each other and summed by one thread, in one order: no atomic additions.
    """

    def __init__(self, rows: Tensor, length: int) -> None:
        """Of rows (M, T) of a table of this length."""
        by_row, self._order = rows.flatten().sort(stable=True)
        self._vector = self._order // rows.shape[1]
        self._starts = torch.searchsorted(by_row, torch.arange(length, dtype=by_row.dtype, device=by_row.device))

    def sums(self, vectors: Tensor, weights: Tensor) -> Tensor:
        """Vectors (M, C), weights (M, T) -> what each row receives, (length, C)."""
        weights = weights.flatten().index_select(0, self._order)
        return F.embedding_bag(self._vector, vectors, self._starts, mode="sum", per_sample_weights=weights)
