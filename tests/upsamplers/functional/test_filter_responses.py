"""Filter responses compared with their definition, pixel by pixel."""

from importlib import import_module

import pytest
import torch
from live_storages import peaks
from naive_attention import responses

from upsamplers.functional import filter_responses


def make(channels=6, height=5, width=4, count=8, kernel=5, dtype=torch.float64):
    torch.manual_seed(0)
    shapes = (2, channels, height, width), (count, 1, kernel, kernel)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("channels", [1, 6, 8, 20])
@pytest.mark.parametrize("most", [1, 2**20])
def test_responses_are_those_of_the_definition_less_their_mean(most, channels, kernel, monkeypatch):
    monkeypatch.setattr(import_module("upsamplers.functional.filter_responses"), "MOST_RESPONSES_CPU", most)
    x, filters = make(channels, kernel=kernel)
    grad = torch.randn(2, 8, 5, 4, dtype=x.dtype)
    out, expected = filter_responses(x, filters), responses(x, filters) - 1 / 8
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-14)
    gradients, others = (torch.autograd.grad(one, (x, filters), grad) for one in (out, expected))
    torch.testing.assert_close(gradients, others, rtol=0, atol=1e-13)


def test_first_and_second_derivatives_are_those_of_finite_differences():
    inputs = make(3, 3, 2, 4, 3)
    assert torch.autograd.gradcheck(filter_responses, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(filter_responses, inputs, fast_mode=True)


def test_small_responses_keep_the_precision_of_float32():
    x, filters = (one.detach() for one in make(64, count=32))
    exact = filter_responses(x / 64, filters)
    error = filter_responses((x / 64).float(), filters.float()) - exact
    assert float(error.abs().max()) <= 1e-6 * float(exact.abs().max())


def test_responses_are_never_there_at_once(monkeypatch):
    monkeypatch.setattr(import_module("upsamplers.functional.filter_responses"), "MOST_RESPONSES_CPU", 2**15)
    x, filters = (one.detach() for one in make(32, 32, 16, 32, dtype=torch.float32))
    forward, training = peaks(filter_responses, x, filters)
    band = 2 * 32 * 32 * 16 * 4  # one row
    assert forward <= 8 * x.numel() * 4 / 2 + 4 * band
    assert training <= 0.6 * 32 * band
