"""The images that are reconstructed: Fashion-MNIST (Xiao et al., 2017), or grey scenes where it is not installed."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from upsampler_bench.errors import PlanError
from upsampler_bench.quality.training import scenes

# Where Debian's package `dataset-fashion-mnist` puts the four original files.
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
TRAIN, TEST = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"
SIDE = 28
# Black pixels a side, so that three stages of x2 fit; they are not scored.
MARGIN = 2
# The first of 10,000, which cost a fifth of the training.
TEST_IMAGES = 1000
TEST_SCENES = 256
HOW_TO_GET = (
    "Install them, or name a folder with the four original files by --data FOLDER:\n"
    "    apt-get install dataset-fashion-mnist\n"
)


@dataclass(frozen=True)
class Images:
    """Grey images in 0..1 to train on and to score.

    Attributes:
        source: "fashion-mnist" or "shapes".
        note: why these are not Fashion-MNIST, and how to get it; empty if they are.
        draw: some images (B, 1, S, S) to train on, from a generator.
        test: images (N, 1, S, S) to score, the same in every run.
        margin: pixels at each side of an image that are not scored.
    """

    source: str
    note: str
    draw: Callable[[int, torch.Generator], Tensor]
    test: Tensor
    margin: int


def load(folder: Path | None, size: int) -> Images:
    """Fashion-MNIST from a folder, or as installed, else scenes of `size` x `size` pixels in grey.

    Args:
        folder: has the four original files, compressed or not (their labels are not read); None: the installed ones.
        size: of the scenes in their place.

    Raises:
        PlanError: a folder was given and has no such files.
    """
    source = folder or INSTALLED
    missing = [name for name in (TRAIN, TEST) if _file(source, name) is None]
    if not missing:
        return _fashion(source)
    found = f"No Fashion-MNIST in {source}:\n{missing[0]}.gz is missing."
    if folder is not None:
        raise PlanError(f"{found} {HOW_TO_GET}")
    return _grey_scenes(size, f"{found}\nGrey scenes are reconstructed instead.\n{HOW_TO_GET}")


def _fashion(folder: Path) -> Images:
    train, test = (_read(folder, name) for name in (TRAIN, TEST))

    def draw(count: int, generator: torch.Generator) -> Tensor:
        return _padded(train[torch.randint(len(train), (count,), generator=generator)])

    return Images("fashion-mnist", "", draw, _padded(test[:TEST_IMAGES]), MARGIN)


def _grey_scenes(size: int, note: str) -> Images:
    def draw(count: int, generator: torch.Generator) -> Tensor:
        return scenes.draw(count, size, generator).grey

    return Images("shapes", note, draw, draw(TEST_SCENES, scenes.evaluation_generator()), 0)


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _read(folder: Path, name: str) -> Tensor:
    """The images of a file in IDX format, bytes: (N, 28, 28).

    Raises:
        PlanError: the file is not such a file.
    """
    path = _file(folder, name)
    assert path is not None
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as problem:
        raise PlanError(f"cannot read {path}: {getattr(problem, 'strerror', None) or problem}") from problem
    magic, *sizes = (int.from_bytes(data[at : at + 4], "big") for at in range(0, 16, 4))
    if magic != 0x803 or sizes[1:] != [SIDE, SIDE] or len(data) != 16 + math.prod(sizes):
        raise PlanError(f"{path} is not a file of Fashion-MNIST: expected images of {SIDE}x{SIDE} in IDX format")
    return torch.frombuffer(bytearray(data[16:]), dtype=torch.uint8).view(sizes)


def _padded(images: Tensor) -> Tensor:
    """Bytes (B, 28, 28) -> (B, 1, 32, 32) in 0..1."""
    return F.pad(images.unsqueeze(1).float() / 255, (MARGIN,) * 4)
