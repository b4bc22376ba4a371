"""Where fused twins meet what is rare: nothing, parts of something larger, weights laid out otherwise."""

import pytest
import torch
from fused_twins import (
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

import upsamplers
from upsamplers.fused import _launch

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
def test_a_backward_that_the_forward_was_not_told_of_is_the_same(name, given):
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
def test_no_image_gives_none_and_gradients_of_zero(name):
    twin, _ = pair(name, 16)
    x = torch.zeros(0, 16, 3, 4, device=DEVICE, requires_grad=True)
    out = twin(x)
    out.sum().backward()
    assert out.shape == (0, 16, 6, 8)
    assert x.grad.shape == x.shape
    with torch.inference_mode():
        assert twin(x.detach()).shape == (0, 16, 6, 8)


@pytest.mark.parametrize("name", ["bilinear-triton", "dysample-triton", "carafe-triton", "sapa-b-triton"])
def test_a_gradient_that_is_part_of_something_larger_or_expanded(name):
    twin, reference = pair(name, channels_of(name))
    (x, *guide) = features(twin, 1, 4, 5)
    shape = (1, channels_of(name), 8, 10)
    torch.manual_seed(4)
    larger = torch.randn(1, channels_of(name) + 3, 8, 11, device=DEVICE).contiguous(memory_format=torch.channels_last)
    for cotangent in (larger[:, 2:-1, :, 1:], torch.ones(1, 1, 1, 1, device=DEVICE).expand(shape)):
        inputs = [one.detach().requires_grad_() for one in (x, *guide)]
        doubled = [one.detach().double().requires_grad_() for one in (x, *guide)]
        close(results(twin, inputs, cotangent), results(reference, doubled, cotangent.double()), 1e-3)


def test_what_spans_more_than_32_bits_count_is_wide_also_where_it_holds_little():
    large = torch.empty(2, 64, 8, 8, device="meta")
    assert not _launch.is_wide(large)
    assert _launch.is_wide(torch.empty_strided((2, 64, 8, 8), (2**31, 64, 8, 1), device="meta"))
    assert not _launch.is_wide(torch.empty(1, 1, 1, 1, device="meta"), large)


def test_weights_that_are_laid_out_otherwise_are_taken_right():
    twin, reference = pair("dysample-s+-triton", 32)
    for layer in (twin.offset, twin.scope):
        weight = layer.weight.detach()
        layer.weight = torch.nn.Parameter(weight[:, :, 0, 0].t().contiguous().t()[:, :, None, None])
        assert not layer.weight.is_contiguous()
    (x,) = (one.detach() for one in features(twin, 1, 3, 4))
    with torch.inference_mode():
        close({"output": twin(x)}, {"output": reference(x.double())}, 2e-4)


def test_more_pixels_than_can_be_counted_are_refused():
    up = upsamplers.create("bilinear-triton", 1)
    with pytest.raises(upsamplers.Unsupported, match="pixels an image; the fused twins take less than"):
        _launch.launch(None, 1, 2**31, None, 1, torch.zeros(1))
    assert up.scale == 2


@pytest.mark.parametrize("name", [name for name in EVERY if name.startswith(("carafe", "sapa", "fade"))])
def test_large_scales(name):
    twin, reference = pair(name, channels_of(name), scale=8, up_kernel=3)
    inputs = features(twin, 1, 1, 2)
    cotangent = torch.randn(1, channels_of(name), 8, 16, device=DEVICE).double()
    expected = results(reference, [one.detach().double().requires_grad_() for one in inputs], cotangent)
    close(results(twin, inputs, cotangent), expected, 1e-3)
