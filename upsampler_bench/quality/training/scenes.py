"""Scenes drawn from formulas, whose labels are exact at any resolution: the data of the trained measurements.

A scene has a disc, a rotated box, a triangle and two bars of 1.8 pixels, in random order of depth, before a gradient.
Each kind is a class with a colour of its own, so that what is hard is where a shape ends and not what it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CLASSES = ("background", "disc", "box", "triangle", "bar")
THIN = CLASSES.index("bar")
# Red, green and blue of each shape's class, in 0..1, before their jitter.
COLOURS = ((0.85, 0.35, 0.30), (0.30, 0.75, 0.35), (0.30, 0.40, 0.85), (0.85, 0.80, 0.30))
COLOUR_JITTER = 0.12
NOISE = 0.10
BAR_WIDTH = 1.8  # pixels
# The class of each shape of a scene.
SHAPES = (1, 2, 3, 4, 4)
# Scenes drawn at once: few, since their intermediate values then stay in the processor's cache.
CHUNK = 16


@dataclass(frozen=True)
class Scenes:
    """A batch of scenes of S x S pixels.

    Attributes:
        images: (B, 3, S, S), about 0..1: each pixel is the mean of its four quarters, plus noise.
        labels: (B, S, S), the index in CLASSES at the pixel's centre, int64.
        fine_labels: (B, 2S, 2S), that at the centres of the pixel's quarters, int64.
    """

    images: Tensor
    labels: Tensor
    fine_labels: Tensor

    @property
    def grey(self) -> Tensor:
        """The images as the mean of their colours, clipped to 0..1: (B, 1, S, S)."""
        return self.images.mean(1, keepdim=True).clamp(0, 1)


@dataclass(frozen=True)
class Shapes:
    """The shapes of a batch of scenes; each field is (B, 5), in the order of SHAPES.

    Attributes:
        x, y: of the centre, in pixels from the image's left and upper edge.
        angle: by which a box, triangle or bar is turned, in radians.
        extent: the disc's radius, half the box's longer side, the triangle's circumradius, a quarter of a bar's length;
            in pixels.
        aspect: the box's shorter side over its longer one.
        depth: an integer; a higher one is in front.
    """

    x: Tensor
    y: Tensor
    angle: Tensor
    extent: Tensor
    aspect: Tensor
    depth: Tensor


def draw(count: int, size: int, generator: torch.Generator) -> Scenes:
    """Scenes of `size` x `size` pixels from a generator of random numbers alone."""
    parts = [_draw(min(CHUNK, count - start), size, generator) for start in range(0, count, CHUNK)]
    return Scenes(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def evaluation_generator() -> torch.Generator:
    """For the scenes that every run is scored on; no run trains from its seed."""
    return torch.Generator().manual_seed(-1)


def labels(shapes: Shapes, size: int, factor: int) -> Tensor:
    """The class at the centres of a grid of factor·S x factor·S cells: (B, factor·S, factor·S), int64."""
    centres = (torch.arange(factor * size) + 0.5) / factor
    dx = (centres - shapes.x.unsqueeze(-1)).unsqueeze(-2)  # (B, 5, 1, factor·S)
    dy = (centres - shapes.y.unsqueeze(-1)).unsqueeze(-1)  # (B, 5, factor·S, 1)
    cos, sin = (f(shapes.angle)[..., None, None] for f in (torch.cos, torch.sin))
    # The cell's place beside the shape as it was before it was turned: (B, factor·S, factor·S) for each shape.
    u, v = ((cos * dx + sin * dy).unbind(1), (cos * dy - sin * dx).unbind(1))
    extent, shorter = shapes.extent[..., None, None], (shapes.extent * shapes.aspect)[..., None, None]
    inside = (
        u[0].square() + v[0].square() < extent[:, 0].square(),
        (u[1].abs() < extent[:, 1]) & (v[1].abs() < shorter[:, 1]),
        _triangle(u[2], v[2], extent[:, 2]),
        *((u[bar].abs() < 2 * extent[:, bar]) & (v[bar].abs() < BAR_WIDTH / 2) for bar in (3, 4)),
    )
    # A shape's depth, then its class: the largest at a cell is what is seen there; 0 is the background.
    codes = (len(CLASSES) * (1 + shapes.depth) + torch.tensor(SHAPES)).to(torch.uint8)  # (B, 5)
    seen = (torch.stack(inside, dim=1) * codes[..., None, None]).amax(1)
    return (seen % len(CLASSES)).long()


def _triangle(u: Tensor, v: Tensor, circumradius: Tensor) -> Tensor:
    """Equilateral: up to half its circumradius from the centre in three directions."""
    half, lean = circumradius / 2, math.sqrt(0.75) * v
    return (u < half) & (lean - u / 2 < half) & (-lean - u / 2 < half)


def _draw(count: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    shapes = _shapes(count, size, generator)
    coarse, fine = labels(shapes, size, 1), labels(shapes, size, 2)
    jitter = COLOUR_JITTER * (2 * torch.rand(count, len(COLOURS), 3, generator=generator) - 1)
    colours = F.pad(torch.tensor(COLOURS) + jitter, (0, 0, 1, 0))  # (B, 5, 3)
    background = _background(count, 2 * size, generator)  # (B, 3, 2S, 2S)
    chosen = fine.flatten(1).unsqueeze(1).expand(-1, 3, -1)  # (B, 3, 4S²)
    painted = colours.mT.gather(2, chosen).view_as(background)
    images = F.avg_pool2d(torch.where(fine.unsqueeze(1) == 0, background, painted), 2)  # (B, 3, S, S)
    return images + NOISE * torch.randn(images.shape, generator=generator), coarse, fine


def _shapes(count: int, size: int, generator: torch.Generator) -> Shapes:
    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, len(SHAPES), generator=generator)

    return Shapes(
        x=uniform(0.15, 0.85) * size,
        y=uniform(0.15, 0.85) * size,
        angle=uniform(0, 2 * math.pi),
        extent=uniform(0.12, 0.24) * size,
        aspect=uniform(0.5, 1),
        depth=uniform(0, 1).argsort(1),
    )


def _background(count: int, side: int, generator: torch.Generator) -> Tensor:
    """A grey gradient in a random direction: (B, 3, side, side)."""
    ends = 0.25 + 0.5 * torch.rand(count, 2, 1, 1, 1, generator=generator)
    angle = 2 * math.pi * torch.rand(count, 1, 1, 1, generator=generator)
    steps = torch.linspace(-0.5, 0.5, side)
    way = (angle.cos() * steps + angle.sin() * steps.unsqueeze(-1)) / math.sqrt(2) + 0.5  # (B, 1, side, side)
    return (ends[:, 0] + (ends[:, 1] - ends[:, 0]) * way).expand(-1, 3, -1, -1)
