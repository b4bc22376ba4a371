"""Window weights through a bicubic interpolation, on Triton and on torch in float64."""

from __future__ import annotations

import pytest
import torch
from triton_pairs import DEVICE, marks, unwritten_shows

from upsamplers.functional._torch.bicubic_taps import composed_weights

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows]

# Scale, kernel, size of x.
CASES = [(1, 3, (2, 3)), (2, 7, (3, 4)), (2, 5, (2, 5)), (3, 5, (1, 2)), (4, 3, (2, 1))]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("scale", "kernel", "size"), CASES)
def test_values_and_both_gradients_are_those_of_the_pytorch_form(scale, kernel, size, layout):
    from upsamplers.functional._triton.bicubic_taps import bicubic_taps

    torch.manual_seed(0)
    large = [scale * side for side in size]
    weights = torch.randn(2, kernel**2, *large, device=DEVICE).contiguous(memory_format=layout).requires_grad_()
    exact = weights.detach().double().requires_grad_()
    found, expected = bicubic_taps(weights, kernel, scale, False), composed_weights(exact, kernel, scale)
    assert found.is_contiguous(memory_format=layout)
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)

    (grad,) = torch.autograd.grad(found.pow(3).sum(), weights, create_graph=True)
    (wanted,) = torch.autograd.grad(expected.pow(3).sum(), exact, create_graph=True)
    torch.testing.assert_close(grad, wanted.float(), rtol=1e-4, atol=1e-4)
    (second,) = torch.autograd.grad(grad.square().sum(), weights)
    (second_wanted,) = torch.autograd.grad(wanted.square().sum(), exact)
    torch.testing.assert_close(second, second_wanted.float(), rtol=1e-3, atol=1e-2)
