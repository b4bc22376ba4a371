"""Group norms by several programs a group, compared with float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from triton_pairs import DEVICE, marks, unwritten_shows

from upsamplers.functional.group_norm import group_norm, norm_scale_and_shift, normalised_product

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows]
SHAPES = [(2, 8, 5, 7, 4), (1, 4, 50, 90, 2), (2, 16, 13, 11, 8), (1, 6, 1, 1, 2), (1, 3, 2, 2, 1)]


def layer(groups, channels, dtype=torch.float32):
    norm = nn.GroupNorm(groups, channels)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return norm.to(DEVICE, dtype)


def exact(norm, x):
    weight, bias = norm.weight.detach().double(), norm.bias.detach().double()
    return F.group_norm(x.double().contiguous(), norm.num_groups, weight, bias, norm.eps)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_group_norm_is_right_also_far_from_zero(shape, layout):
    torch.manual_seed(0)
    *shape, groups = shape
    norm = layer(groups, shape[1])
    for mean, tolerance in ((0, 2e-5), (1000, 2e-3)):  # float32 has steps of 6e-5 at 1000
        x = (torch.randn(shape) + mean).to(DEVICE).contiguous(memory_format=layout)
        with torch.no_grad():
            out = group_norm(x, norm, backend="triton")
        assert (out - exact(norm, x)).abs().max() < tolerance
        assert out.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_normalised_in_float32(dtype):
    torch.manual_seed(0)
    norm = layer(2, 4, dtype)
    x = (torch.randn(1, 4, 5, 6) + 10).to(DEVICE, dtype)
    with torch.no_grad():
        scale, shift = norm_scale_and_shift(norm, x, "triton")
        out = group_norm(x, norm, backend="triton")
    assert scale.dtype == shift.dtype == torch.float32
    assert (x * scale[..., None, None] + shift[..., None, None] - exact(norm, x)).abs().max() < 1e-4
    torch.testing.assert_close(out.double(), exact(norm, x), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_the_product_of_two_normalised_features_is_right(layout):
    torch.manual_seed(0)
    norms = layer(4, 12), layer(2, 12)
    u, v = (torch.randn(2, 12, 7, 11).to(DEVICE).contiguous(memory_format=layout) for _ in norms)
    with torch.no_grad():
        product = normalised_product(u, v, *norms, 0.01, backend="triton")
    left, right = (F.leaky_relu(exact(norm, x), 0.01) for norm, x in zip(norms, (u, v), strict=True))
    torch.testing.assert_close(product.double(), (left * right).sum(1, keepdim=True), rtol=1e-5, atol=1e-4)


def test_gradients_are_the_layers():
    norm, x = layer(2, 4), torch.randn(1, 4, 3, 5, device=DEVICE, requires_grad=True)
    outs = group_norm(x, norm, backend="triton"), norm(x)
    cotangent = torch.randn_like(x)
    leaves = [x, *norm.parameters()]
    torch.testing.assert_close(*outs)
    torch.testing.assert_close(*(torch.autograd.grad(out, leaves, cotangent) for out in outs))


def test_a_layer_with_a_hook_is_called():
    norm, x = layer(2, 4), torch.randn(1, 4, 3, 5, device=DEVICE, requires_grad=True)
    called = []
    norm.register_forward_hook(lambda *_: called.append(1))
    group_norm(x, norm, backend="triton")
    assert called
