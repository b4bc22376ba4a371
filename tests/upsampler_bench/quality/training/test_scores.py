"""Scores, each computed by hand."""

import math

import pytest
import torch

from upsampler_bench.quality.training import scores


def square(left, top, side=4, size=16):
    """Class 1 in a square, class 0 around it: (1, size, size)."""
    labels = torch.zeros(1, size, size, dtype=torch.int64)
    labels[0, top : top + side, left : left + side] = 1
    return labels


def step(column, width=16):
    """Class 0 left of a column, class 1 from it on: (1, 2, width)."""
    return (torch.arange(width) >= column).long().expand(1, 2, width)


def corner(at, size=16):
    """Class 1 right of a column and below a row of this number, class 0 elsewhere: (1, size, size)."""
    return square(at, at, side=size - at, size=size)


def test_iou_by_class():
    labels, predicted = torch.tensor([[[0, 0, 1, 1]]]), torch.tensor([[[0, 1, 1, 1]]])
    found = scores.iou(predicted, labels, 3)
    assert found[:2].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert found[2].isnan()


@pytest.mark.parametrize(
    ("width", "iou"),
    [
        (1, 6 / 18),  # two rings of 12 pixels that share three pixels above and three below
        (2, 12 / 20),  # the whole squares
    ],
)
def test_boundary_iou_of_a_square_moved_by_one(width, iou):
    found = scores.boundary_iou(square(5, 4), square(4, 4), 2, width)
    assert float(found[1]) == pytest.approx(iou)


def test_the_border_of_the_image_is_no_edge():
    # The band of each class is the column beside the step; the moved step shares none of class 0's.
    assert scores.boundary_iou(step(7), step(6), 2, 1).tolist() == [0, 0]
    assert scores.boundary_iou(step(6), step(6), 2, 1).tolist() == [1, 1]


@pytest.mark.parametrize(("move", "cell", "pixels"), [(2, 1.0, 2.0), (2, 0.5, 1.0), (-2, 0.5, 1.0), (0, 1.0, 0.0)])
def test_a_moved_corner_is_displaced_by_its_move(move, cell, pixels):
    # One vertical and one horizontal edge of 8 elements, which a move inwards shortens.
    assert scores.edges(corner(8 + move), corner(8), 2, cell) == ((8 - max(move, 0)) / 8, pixels)


def test_a_square_that_grew_is_displaced_by_its_growth():
    # All 4 · 4 edges of the true square moved outwards by one.
    assert scores.edges(square(3, 3, side=6), square(4, 4), 2, 1.0) == (1.0, 1.0)


def test_rows_and_columns_count_by_their_edges():
    found, displacement = scores.edges(square(6, 5, side=8), square(3, 1, side=8), 2, 1.0)
    # 4 of 8 rows are still crossed, at 3 pixels, and 5 of 8 columns, at 4.
    assert found == (8 + 10) / 32
    assert displacement == pytest.approx((8 * 3 + 10 * 4) / 18)


def test_an_edge_beyond_reach_or_of_the_other_direction_is_not_found():
    for predicted in (corner(8) * 0, 1 - corner(8), corner(3)):
        found, displacement = scores.edges(predicted, corner(8), 2, 1.0)
        assert found == 0
        assert math.isnan(displacement)


def test_the_nearer_of_two_edges_counts():
    labels = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
    predicted = torch.tensor([[[0, 1, 0, 0, 1, 1]]])  # one of the same kind at -2, one at +1
    assert scores.edges(predicted, labels, 2, 1.0) == (1.0, 1.0)


def test_psnr_of_an_error_of_a_tenth_is_20_db_and_the_mean_over_images_of_at_most_100_db():
    targets = torch.full((2, 1, 4, 4), 0.5)
    assert scores.psnr(targets + 0.1, targets) == pytest.approx(20, abs=1e-4)
    images = targets + torch.tensor([0.1, 0.0]).view(2, 1, 1, 1)
    assert scores.psnr(images, targets) == pytest.approx((20 + 100) / 2, abs=1e-4)


def test_ssim_of_constants_is_that_of_their_means():
    half, quarter = torch.full((1, 1, 16, 16), 0.5), torch.full((1, 1, 16, 16), 0.25)
    expected = (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)
    assert scores.ssim(half, quarter) == pytest.approx(expected, abs=1e-4)


def test_ssim_of_an_image_and_its_negative_about_a_half_is_minus_that_of_its_structure():
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert scores.ssim(image, image) == pytest.approx(1)
    assert scores.ssim(1 - image, image) < -0.9
