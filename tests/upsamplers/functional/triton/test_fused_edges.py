"""Triton operators on rare inputs: empty batches, views of larger tensors, weights in other layouts."""

import pytest
import torch
from triton_pairs import (
    DEVICE,
    EVERY,
    channels_of,
    close,
    features,
    marks,
    pair,
    results,
    unwritten_shows,
)
from upsamplers.fused import _launch

import upsamplers

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows, pytest.mark.slow]


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def some(*shape):
    torch.manual_seed(3)
    return torch.randn(shape, device=DEVICE, requires_grad=True)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("window_sum", lambda: (some(1, 4, 3, 4), some(1, 36, 3, 4), None, 3, 1, 2, 0)),
        ("affinity_sum", lambda: (some(1, 4, 3, 4), some(1, 5, 6, 8), some(1, 5, 3, 4), 3, 2)),
    ],
)
def test_a_backward_without_stored_sums_is_the_same(name, given):
    upsamplers.create("sapa-b-triton", 32), upsamplers.create("carafe-triton", 8)
    found = []
    for keep in (True, False):
        inputs = given()
        leaves = [one for one in inputs if isinstance(one, torch.Tensor)]
        out = getattr(torch.ops.upsamplers, name)(*inputs, keep)[0]
        found.append(torch.autograd.grad(out.square().sum(), leaves))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("name", ["bilinear-triton", "dysample+-triton", "carafe-triton", "dysample-s-triton"])
def test_an_empty_batch_gives_an_empty_output_and_gradient(name):
    up, _ = pair(name, 16)
    x = torch.zeros(0, 16, 3, 4, device=DEVICE, requires_grad=True)
    out = up(x)
    out.sum().backward()
    assert out.shape == (0, 16, 6, 8)
    assert x.grad.shape == x.shape
    with torch.inference_mode():
        assert up(x.detach()).shape == (0, 16, 6, 8)


@pytest.mark.parametrize("name", ["bilinear-triton", "dysample-triton", "carafe-triton", "sapa-b-triton"])
def test_a_gradient_that_is_part_of_something_larger_or_expanded(name):
    up, reference = pair(name, channels_of(name))
    (x, *guide) = features(up, 1, 4, 5)
    shape = (1, channels_of(name), 8, 10)
    torch.manual_seed(4)
    larger = torch.randn(1, channels_of(name) + 3, 8, 11, device=DEVICE).contiguous(memory_format=torch.channels_last)
    for cotangent in (larger[:, 2:-1, :, 1:], torch.ones(1, 1, 1, 1, device=DEVICE).expand(shape)):
        inputs = [one.detach().requires_grad_() for one in (x, *guide)]
        doubled = [one.detach().double().requires_grad_() for one in (x, *guide)]
        close(results(up, inputs, cotangent), results(reference, doubled, cotangent.double()), 1e-3)


def test_a_view_that_spans_more_than_32_bits_is_wide():
    large = torch.empty(2, 64, 8, 8, device="meta")
    assert not _launch.is_wide(large)
    assert _launch.is_wide(torch.empty_strided((2, 64, 8, 8), (2**31, 64, 8, 1), device="meta"))
    assert not _launch.is_wide(torch.empty(1, 1, 1, 1, device="meta"), large)


def test_weights_in_another_layout_give_the_same():
    up, reference = pair("dysample-s+-triton", 32)
    for layer in (up.offset, up.scope):
        weight = layer.weight.detach()
        layer.weight = torch.nn.Parameter(weight[:, :, 0, 0].t().contiguous().t()[:, :, None, None])
        assert not layer.weight.is_contiguous()
    (x,) = (one.detach() for one in features(up, 1, 3, 4))
    with torch.inference_mode():
        close({"output": up(x)}, {"output": reference(x.double())}, 2e-4)


def test_more_pixels_than_can_be_counted_are_refused():
    up = upsamplers.create("bilinear-triton", 1)
    with pytest.raises(upsamplers.Unsupported, match="pixels an image; Triton operators take less than"):
        _launch.launch(None, 1, 2**31, None, 1, torch.zeros(1))
    assert up.scale == 2


@pytest.mark.parametrize("name", [name for name in EVERY if name.startswith(("carafe", "sapa", "fade"))])
def test_large_scales(name):
    up, reference = pair(name, channels_of(name), scale=8, up_kernel=3)
    inputs = features(up, 1, 1, 2)
    cotangent = torch.randn(1, channels_of(name), 8, 16, device=DEVICE).double()
    expected = results(reference, [one.detach().double().requires_grad_() for one in inputs], cotangent)
    close(results(up, inputs, cotangent), expected, 1e-3)
