"""Fashion-MNIST from its files, and what stands in its place."""

import gzip
import struct

import pytest
import torch

from upsampler_bench.errors import PlanError
from upsampler_bench.quality.training import fashion


def idx(count, side=28):
    """A file of images in IDX format: image n is white at row 0, column n, black elsewhere."""
    pixels = torch.zeros(count, side, side, dtype=torch.uint8)
    pixels[torch.arange(count), 0, torch.arange(count)] = 255
    return struct.pack(">4I", 0x803, count, side, side) + pixels.numpy().tobytes()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / f"{fashion.TRAIN}.gz").write_bytes(gzip.compress(idx(5)))
    (tmp_path / fashion.TEST).write_bytes(idx(3))
    return tmp_path


def test_test_images_are_read_in_order_with_a_black_margin(folder):
    images = fashion.load(folder, 32)
    assert (images.source, images.note) == ("fashion-mnist", "")
    assert images.test.shape == (3, 1, 32, 32)
    assert images.test.nonzero().tolist() == [[n, 0, 2, 2 + n] for n in range(3)]
    assert images.test.max() == 1


def test_training_images_are_drawn_from_the_generator_alone(folder):
    images = fashion.load(folder, 32)
    first, second = (images.draw(8, torch.Generator().manual_seed(0)) for _ in range(2))
    assert first.shape == (8, 1, 32, 32)
    assert torch.equal(first, second)
    assert not torch.equal(first, images.draw(8, torch.Generator().manual_seed(1)))


def test_a_folder_without_the_files_is_refused_with_the_command(tmp_path):
    with pytest.raises(PlanError, match=r"train-images-idx3-ubyte\.gz is missing") as refused:
        fashion.load(tmp_path, 32)
    assert "apt-get install dataset-fashion-mnist" in str(refused.value)


@pytest.mark.parametrize("data", [b"", idx(3)[:-1], idx(3, side=32)])
def test_another_file_is_refused(folder, data):
    (folder / fashion.TEST).write_bytes(data)
    with pytest.raises(PlanError, match="is not a file of Fashion-MNIST"):
        fashion.load(folder, 32)


@pytest.mark.parametrize("damage", [lambda data: data[:40], lambda data: data[:20] + b"\xff" * 20 + data[40:]])
def test_a_damaged_archive_is_refused(folder, damage):
    (folder / f"{fashion.TRAIN}.gz").write_bytes(damage(gzip.compress(idx(5))))
    with pytest.raises(PlanError, match="cannot read"):
        fashion.load(folder, 32)


def test_where_it_is_not_installed_grey_scenes_stand_in_and_the_note_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(fashion, "INSTALLED", tmp_path)
    images = fashion.load(None, 16)
    assert images.source == "shapes"
    assert "apt-get install dataset-fashion-mnist" in images.note
    assert images.test.shape == (fashion.TEST_SCENES, 1, 16, 16)
    assert images.draw(2, torch.Generator().manual_seed(0)).shape == (2, 1, 16, 16)
    assert images.test.min() >= 0
    assert images.test.max() <= 1
