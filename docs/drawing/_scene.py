"""The scene of every figure, and random scenes like it to train on.

A scene is an image of two regions, dark inside a shape and light outside, both under one slant of shade, at high
resolution. What an upsampler gets of it imitates a network's features: half of the channels carry the scene itself, at
low resolution its mean over the s x s output pixels, and half are fixed random functions of what lies around. So an
operator can find out where in a pixel an edge runs; and it has to put in place the channels that carry the scene, the
edge sharp and the shade smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE, SCALE, CHANNELS = 10, 2, 64
TALL = SIDE * SCALE
NOISE, GAIN = 0.15, 2.0
# How far regions lie from 0, and how far the shade goes from there.
STEP, SHADE = 0.7, 0.3
# The drawn disc: its middle, (x, y), and its radius, in output pixels; and the angle of its shade.
DISC = ((15.0, 14.3), 8.6)
LIGHT = 0.9


@dataclass(frozen=True, slots=True)
class Scenes:
    """Scenes, and what is made of them.

    Attributes:
        target: the scenes, (B, 1, sH, sW).
        x: low-resolution features (B, C, H, W).
        guide: encoder features (B, C, sH, sW) of the scenes with a texture of noise.
    """

    target: Tensor
    x: Tensor
    guide: Tensor


def carriers() -> Tensor:
    """Which channels carry the scene: half of any four neighbours, and half of every fourth, (C)."""
    own = torch.arange(CHANNELS)
    return (own + own // 4) % 2 == 0


def carried(features: Tensor) -> Tensor:
    """The scene that features (B, C, h, w) carry: (B, 1, h, w)."""
    return features[:, carriers()].mean(1, keepdim=True)


def drawn() -> Scenes:
    """The scene of the figures."""
    (x, y), radius = DISC
    shape = torch.tensor([[x, y, radius]])
    return _seen(_shaded(_disc(shape), torch.full((1, 1, 1, 1), LIGHT)), torch.Generator().manual_seed(1))


def random(count: int, generator: torch.Generator) -> Scenes:
    """Scenes of discs, half-planes and unions of two of these, or what lies around them."""
    first, second = _shapes(count, generator), _shapes(count, generator)
    joined = torch.where(_draws(count, generator) < 0.5, first, torch.maximum(first, second))
    turned = torch.where(_draws(count, generator) < 0.5, joined, -joined)
    return _seen(_shaded(turned, _angles(count, generator)), generator)


def _seen(target: Tensor, generator: torch.Generator) -> Scenes:
    """What networks would see of scenes (B, 1, sH, sW)."""
    image = target + NOISE * torch.randn(target.shape, generator=generator)
    low = _lifted(target, F.avg_pool2d(target, SCALE), side=3 * SCALE, stride=SCALE)
    return Scenes(target, low, _lifted(image, image, side=3, stride=1))


def _lifted(image: Tensor, carries: Tensor, *, side: int, stride: int) -> Tensor:
    """Channels that carry a scene, and between them random functions of an image's windows: (B, C, h, w)."""
    fixed = torch.Generator().manual_seed(0)
    filters = torch.randn((CHANNELS, 1, side, side), generator=fixed) * GAIN / side
    border = (side - stride) // 2
    bias = torch.randn(CHANNELS, generator=fixed) * GAIN / 2
    around = F.conv2d(F.pad(image, (border,) * 4, mode="replicate"), filters, bias, stride=stride).tanh()
    return torch.where(carriers().view(1, -1, 1, 1), carries, around)


def _shapes(count: int, generator: torch.Generator) -> Tensor:
    """How deep inside a random disc or half-plane each pixel lies, (B, 1, sH, sW)."""
    places = torch.rand((count, 3), generator=generator)
    discs = _disc(torch.cat((places[:, :2] * TALL, 3 + places[:, 2:] * 0.4 * TALL), dim=1))
    angles = _angles(count, generator)
    x, y = _centres()
    through = places[:, :2].view(-1, 2, 1, 1) * TALL
    planes = (x - through[:, :1]) * angles.cos() + (y - through[:, 1:]) * angles.sin()
    return torch.where(_draws(count, generator) < 0.5, discs, planes)


def _disc(shapes: Tensor) -> Tensor:
    """How deep inside discs (B, 3), given as x, y and radius, each pixel lies: (B, 1, sH, sW)."""
    x, y = _centres()
    middle_x, middle_y, radius = shapes.view(-1, 3, 1, 1, 1).unbind(1)
    return radius - torch.hypot(x - middle_x, y - middle_y)


def _centres() -> tuple[Tensor, Tensor]:
    own = torch.arange(TALL) + 0.5
    return own.view(1, 1, 1, -1), own.view(1, 1, -1, 1)


def _draws(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand((count, 1, 1, 1), generator=generator)


def _angles(count: int, generator: torch.Generator) -> Tensor:
    return _draws(count, generator) * 2 * torch.pi


def _shaded(depths: Tensor, angles: Tensor) -> Tensor:
    """Scenes (B, 1, sH, sW) of what lies inside and outside shapes, with a shade that slants at these angles."""
    x, y = _centres()
    slant = ((x - TALL / 2) * angles.cos() + (y - TALL / 2) * angles.sin()) / (TALL / 2)
    return torch.where(depths > 0, STEP, -STEP) + SHADE * slant
