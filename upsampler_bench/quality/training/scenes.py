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


def draw(count: int, size: int, generator: torch.Generator) -> Scenes:
    """Scenes of `size` x `size` pixels from a generator of random numbers alone."""
    shapes = _shapes(count, size, generator)
    depth = torch.rand(count, len(SHAPES), generator=generator).argsort(1)
    labels = _labels(shapes, depth, size, 1)
    fine_labels = _labels(shapes, depth, size, 2)
    jitter = torch.rand(count, len(COLOURS), 3, generator=generator).sub(0.5).mul(2 * COLOUR_JITTER)
    colours = torch.cat([torch.zeros(count, 1, 3), torch.tensor(COLOURS) + jitter], dim=1)  # (B, 5, 3)
    background = _background(count, 2 * size, generator)  # (B, 3, 2S, 2S)
    flat = fine_labels.flatten(1).unsqueeze(-1).expand(-1, -1, 3)  # (B, 4S², 3)
    painted = colours.gather(1, flat).movedim(-1, 1).view_as(background)
    images = F.avg_pool2d(torch.where(fine_labels.unsqueeze(1) == 0, background, painted), 2)  # (B, 3, S, S)
    return Scenes(images + NOISE * torch.randn(images.shape, generator=generator), labels, fine_labels)


def _shapes(count: int, size: int, generator: torch.Generator) -> dict[str, Tensor]:
    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, len(SHAPES), generator=generator)

    return {
        "x": uniform(0.15, 0.85) * size,
        "y": uniform(0.15, 0.85) * size,
        "angle": uniform(0, 2 * math.pi),
        "extent": uniform(0.12, 0.24) * size,
        "aspect": uniform(0.5, 1.0),
    }


def _labels(shapes: dict[str, Tensor], depth: Tensor, size: int, factor: int) -> Tensor:
    """The class at the centres of a grid of factor·S x factor·S cells: (B, factor·S, factor·S)."""
    centres = (torch.arange(factor * size) + 0.5) / factor
    dx = centres - shapes["x"].unsqueeze(-1)  # (B, N, factor·S)
    dy = centres - shapes["y"].unsqueeze(-1)
    cos, sin = (f(shapes["angle"])[..., None, None] for f in (torch.cos, torch.sin))
    dx, dy = dx.unsqueeze(-2), dy.unsqueeze(-1)
    u, v = cos * dx + sin * dy, cos * dy - sin * dx  # (B, N, factor·S, factor·S), in pixels, turned with the shape
    extent, aspect = shapes["extent"][..., None, None], shapes["aspect"][..., None, None]
    disc = u[:, 0].square() + v[:, 0].square() < extent[:, 0].square()
    box = (u[:, 1].abs() < extent[:, 1]) & (v[:, 1].abs() < extent[:, 1] * aspect[:, 1])
    # An equilateral triangle, as the points within half its circumradius of the centre in three directions.
    half, lean = extent[:, 2] / 2, math.sqrt(0.75)
    triangle = (u[:, 2] < half) & (lean * v[:, 2] - u[:, 2] / 2 < half) & (-lean * v[:, 2] - u[:, 2] / 2 < half)
    bars = (u[:, 3:].abs() < 2 * extent[:, 3:]) & (v[:, 3:].abs() < BAR_WIDTH / 2)
    inside = torch.cat([disc.unsqueeze(1), box.unsqueeze(1), triangle.unsqueeze(1), bars], dim=1)
    # A shape's place in depth, then its class: the largest of a pixel is what is seen there.
    codes = depth * len(CLASSES) + torch.tensor(SHAPES)
    seen = (inside * codes[..., None, None].to(torch.uint8)).amax(1)
    return (seen % len(CLASSES)).long()


def _background(count: int, side: int, generator: torch.Generator) -> Tensor:
    """A grey gradient in a random direction: (B, 3, side, side)."""
    ends = 0.25 + 0.5 * torch.rand(count, 2, 1, 1, 1, generator=generator)
    angle = 2 * math.pi * torch.rand(count, 1, 1, 1, generator=generator)
    steps = torch.linspace(-0.5, 0.5, side)
    way = (angle.cos() * steps + angle.sin() * steps.unsqueeze(-1)) / math.sqrt(2) + 0.5  # (B, 1, side, side)
    return (ends[:, 0] + (ends[:, 1] - ends[:, 0]) * way).expand(-1, 3, -1, -1)


def evaluation_generator() -> torch.Generator:
    """For the scenes that every run is scored on; no run trains from its seed."""
    return torch.Generator().manual_seed(-1)
