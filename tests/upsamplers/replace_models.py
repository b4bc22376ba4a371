"""Models that upsample in different ways, and the reasons of a replacement in them."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import upsamplers
from upsamplers import Replacement, ReplacementError

CHANNELS = 8


def image(height: int = 16, width: int = 24, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(0))


def layer(inside: int, outside: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride, padding=1), nn.BatchNorm2d(outside), nn.ReLU())


class Pyramid(nn.Module):
    """A feature pyramid whose top-down path is made of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([layer(3, CHANNELS), *(layer(CHANNELS, CHANNELS, stride=2) for _ in range(2))])
        self.up = nn.ModuleList([nn.Upsample(scale_factor=2), nn.UpsamplingBilinear2d(scale_factor=2)])
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        features = []
        for down in self.down:
            x = down(x)
            features.append(x)
        for index, feature in enumerate(features[-2::-1]):
            x = feature + self.upsampled(index, x, feature)
        return self.dropout(x)

    def upsampled(self, index: int, x: Tensor, feature: Tensor) -> Tensor:
        out: Tensor = self.up[index](x)
        return out


class Calling(Pyramid):
    """The same, with calls of F.interpolate: to the size of the finer level."""

    def __init__(self) -> None:
        super().__init__()
        del self.up

    def upsampled(self, index: int, x: Tensor, feature: Tensor) -> Tensor:
        return F.interpolate(x, size=feature.shape[2:], mode="bilinear", align_corners=False)


class Around(nn.Module):
    """A model whose own forward interpolates before, between and after what other modules interpolate."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.odd = nn.Upsample(scale_factor=1.5)
        self.aside = Odd()
        self.training_only = Odd()
        self.last = nn.Conv2d(CHANNELS, 2 * CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.training_only(x)
        x = self.aside(self.odd(self.up(self.inner(x))))
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        x = F.interpolate(self.up(self.last(x)[:, :CHANNELS]), scale_factor=0.25)
        return F.interpolate(self.last(x), scale_factor=3, mode="bilinear")


class Odd(nn.Module):
    """Interpolates by no whole number."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(F.interpolate(x, scale_factor=0.5), scale_factor=1.5)


class One(nn.Module):
    """A model of one module that upsamples."""

    def __init__(self, up: nn.Module, times: int = 1) -> None:
        super().__init__()
        self.up = up
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times):
            x = self.up(x)
        return x


class Once(nn.Module):
    """A model of one call of F.interpolate."""

    def __init__(self, **asked: Any) -> None:
        super().__init__()
        self.asked = asked

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, **self.asked)


def only(report: Replacement) -> str:
    """The reason of the only entry that was left."""
    (left,) = report.left
    return left.reason


def refused(model: nn.Module, **arguments: Any) -> str:
    """Why nothing was replaced; the model is not changed."""
    before = [(name, type(module)) for name, module in model.named_modules()]
    with pytest.raises(ReplacementError) as refusal:
        upsamplers.replace(model, "bilinear", **arguments)
    assert [(name, type(module)) for name, module in model.named_modules()] == before
    return " ".join(str(refusal.value).split())
