"""Reassembly of a bicubically upsampled feature compared with its two steps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from every_operator import assert_same
from every_operator import with_both_gradients as results
from torch import Tensor

from upsamplers.functional import reassemble
from upsamplers.functional._torch.bicubic_taps import composed_kernel
from upsamplers.functional.reassemble_bicubic import reassemble_bicubic

# Scale, kernel, size of x.
CASES = [
    (1, 7, (4, 6)), (2, 7, (5, 4)), (2, 11, (3, 7)), (2, 1, (3, 1)), (3, 5, (2, 3)), (4, 7, (1, 2)), (5, 9, (1, 1)),
    (8, 3, (1, 3)),
]  # fmt: skip


def two_steps(x: Tensor, weights: Tensor, kernel: int, scale: int) -> Tensor:
    smooth = F.interpolate(x, scale_factor=float(scale), mode="bicubic", align_corners=False)
    return reassemble(smooth, weights, kernel, scale=1, border="reflection")


def make(scale: int, kernel: int, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    large = [scale * side for side in size]
    return torch.randn(2, 3, *size), torch.randn(2, kernel**2, *large), torch.randn(2, 3, *large)


@pytest.mark.parametrize(("scale", "kernel", "size"), CASES)
def test_values_and_both_gradients_are_those_of_the_two_steps(scale, kernel, size):
    x, weights, grad = (tensor.double() for tensor in make(scale, kernel, size))
    found = results(lambda *inputs: reassemble_bicubic(*inputs, kernel, scale=scale), x, weights, grad)
    expected = results(lambda *inputs: two_steps(*inputs, kernel, scale), x, weights, grad)
    assert_same(found, expected, 1e-12)


@pytest.mark.parametrize("radius", range(6))
@pytest.mark.parametrize("scale", range(1, 9))
def test_no_smaller_window_of_x_would_do(scale, radius):
    kernel, height = 2 * radius + 1, 13
    x = torch.zeros(1, 1, height, height, dtype=torch.float64)
    x[:, :, height // 2, height // 2] = 1
    seen = F.interpolate(x, scale_factor=float(scale), mode="bicubic", align_corners=False).abs() > 1e-9
    spread = F.max_pool2d(seen.double(), kernel, stride=1, padding=radius)
    reached = F.max_pool2d(spread, scale).squeeze()[height // 2].nonzero()
    assert composed_kernel(kernel, scale) == 2 * (reached - height // 2).abs().max() + 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_keeps_the_dtype_of_x(dtype):
    x, weights, _ = make(2, 7, (5, 4))
    found = reassemble_bicubic(x.to(dtype), weights.to(dtype), 7, scale=2)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), two_steps(x, weights, 7, 2), rtol=0, atol=20 * torch.finfo(dtype).eps)


def test_autocast_leaves_the_weights_of_the_interpolation_in_float32():
    x, weights, _ = make(2, 7, (5, 4))
    with torch.autocast("cpu", torch.bfloat16):
        found = reassemble_bicubic(x, weights, 7, scale=2)
    torch.testing.assert_close(found, two_steps(x, weights, 7, 2), rtol=1e-5, atol=1e-5)
