"""Nearest, bilinear and bicubic interpolation: their values from the weights of each axis."""

import pytest
import torch
from torch import Tensor

import upsamplers
from upsamplers import Unsupported


def nearest(distance: Tensor) -> Tensor:
    return ((distance >= -0.5) & (distance < 0.5)).double()


def linear(distance: Tensor) -> Tensor:
    return (1 - distance.abs()).clamp_min(0)


def cubic(distance: Tensor, a: float = -0.75) -> Tensor:
    """Keys' kernel with torch's parameter."""
    t = distance.abs()
    inner = (a + 2) * t**3 - (a + 3) * t**2 + 1
    outer = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return torch.where(t <= 1, inner, torch.where(t < 2, outer, 0.0))


def axis(length: int, scale: int, kernel) -> Tensor:
    """The weights (s·length, length) of input pixels, whose border pixels repeat outside."""
    positions = (torch.arange(scale * length).double() + 0.5) / scale - 0.5
    pixels = torch.arange(-2, length + 2)
    weights = kernel(pixels - positions.view(-1, 1))
    folded = torch.zeros(scale * length, length, dtype=torch.float64)
    return folded.index_add_(1, pixels.clamp(0, length - 1), weights)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize(("name", "kernel"), [("nearest", nearest), ("bilinear", linear), ("bicubic", cubic)])
def test_values_are_those_of_the_rule(name, kernel, scale):
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    expected = axis(4, scale, kernel) @ x @ axis(5, scale, kernel).mT
    torch.testing.assert_close(upsamplers.create(name, 3, scale=scale)(x), expected, rtol=1e-12, atol=1e-12)


def test_another_rule_is_refused():
    with pytest.raises(Unsupported, match="no rule 'lanczos'; expected 'nearest', 'bilinear', 'bicubic'"):
        upsamplers.create("nearest", 3, rule="lanczos")
