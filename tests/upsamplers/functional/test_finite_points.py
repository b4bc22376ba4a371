"""Points that are not finite show as NaN, forward and in the gradients, and no memory beyond the feature is read."""

import pytest
import torch

import upsamplers
from upsamplers.functional import sample_points

SAMPLING = [name for name in upsamplers.names() if name.startswith("dysample") or name == "dlu"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", SAMPLING)
def test_an_offset_that_is_not_finite_shows_forward_and_in_the_gradients(name, value):
    torch.manual_seed(0)
    up = upsamplers.create(name, 32)
    layer = up.conv_offset if name == "dlu" else up.offset
    with torch.no_grad():
        layer.bias[0] = value
    x = torch.randn(1, 32, 24, 24, requires_grad=True)
    out = up(x)
    out.sum().backward()
    assert out.isnan().any()
    assert not out.isnan().all()
    assert layer.bias.grad[0].isnan()
    assert x.grad.isnan().any()


@pytest.mark.parametrize("name", SAMPLING)
def test_a_pixel_that_is_not_a_number_spoils_what_reads_it_alone(name):
    torch.manual_seed(0)
    up = upsamplers.create(name, 32)
    x = torch.randn(1, 32, 24, 24)
    x[0, :, 3, 3] = float("nan")
    out = up(x)
    assert out[..., 6:8, 6:8].isnan().all()
    assert out[..., 16:, :].isfinite().all()


def test_good_points_beside_bad_ones_keep_their_values_and_gradients():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    offsets = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    spoiled = offsets.clone()
    spoiled[1, 2, 3, 4] = float("nan")
    results = []
    for values in (offsets, spoiled):
        leaves = [x.clone().requires_grad_(), values.requires_grad_()]
        out = sample_points(*leaves, 2)
        good = torch.ones_like(out)
        good[1, :, 7, 8] = 0  # sub-pixel 2 of pixel (3, 4)
        gradients = torch.autograd.grad(out, leaves, good)
        results.append([out.masked_fill(good == 0, 0), *gradients])
    for one, other in zip(*results, strict=True):
        finite = other.isfinite()
        torch.testing.assert_close(one[finite], other[finite])
    assert not results[1][2].isfinite()[1, 2, 3, 4]
    assert results[1][2].isfinite().sum() >= offsets.numel() - 2
