"""Scenes: exact labels, colours by class, from a seed alone."""

import math

import pytest
import torch

from upsampler_bench.quality.training import scenes
from upsampler_bench.quality.training.scenes import CLASSES, COLOURS, Shapes


def draw(count=4, size=32, seed=0):
    return scenes.draw(count, size, torch.Generator().manual_seed(seed))


def shapes_with(kind, **fields):
    """One scene in which only the shape of this number is inside the image."""
    values = {"x": -1000.0, "y": -1000.0, "angle": 0.0, "extent": 4.0, "aspect": 0.5}
    rows = {name: torch.full((1, 5), value) for name, value in values.items()}
    for name, value in fields.items():
        rows[name][0, kind] = value
    return Shapes(**rows, depth=torch.arange(5).view(1, 5))


def test_one_seed_gives_the_same_bits_and_another_other_scenes():
    first, second = draw(), draw()
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    assert torch.equal(first.fine_labels, second.fine_labels)
    assert not torch.equal(first.labels, draw(seed=1).labels)


def test_sizes_and_classes_are_as_said():
    drawn = draw(20)
    assert drawn.images.shape == (20, 3, 32, 32)
    assert drawn.labels.shape == (20, 32, 32)
    assert drawn.fine_labels.shape == (20, 64, 64)
    assert drawn.grey.shape == (20, 1, 32, 32)
    assert set(drawn.labels.unique().tolist()) == set(range(len(CLASSES)))


@pytest.mark.parametrize("factor", [1, 2])
def test_a_disc_covers_the_centres_within_its_radius(factor):
    labels = scenes.labels(shapes_with(0, x=8.0, y=9.0, extent=3.0), 16, factor)[0]
    for row in range(16 * factor):
        for column in range(16 * factor):
            x, y = (column + 0.5) / factor, (row + 0.5) / factor
            assert labels[row, column] == (1 if math.hypot(x - 8, y - 9) < 3 else 0)


def test_a_box_of_8_by_4_pixels_covers_32_pixels_and_lies_across_after_a_quarter_turn():
    flat = scenes.labels(shapes_with(1, x=8.0, y=8.0), 16, 1)[0]
    upright = scenes.labels(shapes_with(1, x=8.0, y=8.0, angle=math.pi / 2), 16, 1)[0]
    assert int((flat == 2).sum()) == 32
    assert (flat[6:10, 4:12] == 2).all()
    assert torch.equal(upright, flat.T)


def test_a_triangle_has_the_area_of_its_circumradius():
    labels = scenes.labels(shapes_with(2, x=32.0, y=32.0, extent=20.0, angle=0.3), 64, 2)
    area = float((labels == 3).sum()) / 4
    assert area == pytest.approx(3 * math.sqrt(3) / 4 * 20**2, rel=0.01)


def test_a_bar_is_eighteen_tenths_of_a_pixel_wide():
    labels = scenes.labels(shapes_with(3, x=32.0, y=32.0, extent=10.0, angle=0.3), 64, 8)
    area = float((labels == 4).sum()) / 64
    assert area == pytest.approx(40 * 1.8, rel=0.02)


def test_the_deeper_shape_is_hidden():
    shapes = shapes_with(0, x=8.0, y=8.0, extent=3.0)
    shapes.x[0, 1] = shapes.y[0, 1] = 8.0
    shapes.extent[0, 1] = 6.0
    assert scenes.labels(shapes, 16, 1)[0, 8, 8] == 2
    shapes.depth[0, 0] = 5
    assert scenes.labels(shapes, 16, 1)[0, 8, 8] == 1


def test_a_pixel_is_the_mean_of_its_quarters(monkeypatch):
    monkeypatch.setattr(scenes, "NOISE", 0.0)
    monkeypatch.setattr(scenes, "COLOUR_JITTER", 0.0)
    drawn = draw(16)
    quarters = drawn.fine_labels.unfold(1, 2, 2).unfold(2, 2, 2).flatten(-2)  # (B, 32, 32, 4)
    only_shapes = (quarters > 0).all(-1)
    expected = torch.tensor(COLOURS)[quarters[only_shapes] - 1].mean(1)
    assert (quarters[only_shapes].amin(-1) < quarters[only_shapes].amax(-1)).any()
    torch.testing.assert_close(drawn.images.movedim(1, -1)[only_shapes], expected)


def test_scored_scenes_are_the_same_in_every_run():
    first, second = (scenes.draw(2, 16, scenes.evaluation_generator()).images for _ in range(2))
    assert torch.equal(first, second)
