"""Triton operators compared with their references, values and every gradient: on a GPU, or interpreted."""

import pytest
import torch
from triton_pairs import (
    DEVICE,
    EVERY,
    channels_of,
    check,
    close,
    features,
    marks,
    pair,
    results,
    unwritten_shows,
)
from upsamplers.fused import _launch

import upsamplers
from upsamplers.functional.reassemble import reassemble

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows, pytest.mark.slow]


@pytest.mark.parametrize("name", EVERY)
def test_values_and_gradients_are_the_references(name):
    check(name, channels_of(name), 5, 7)


@pytest.mark.parametrize("name", EVERY)
def test_a_channels_last_input_gives_the_same_and_comes_back_so(name):
    found, _ = check(name, channels_of(name), 4, 6, layout=torch.channels_last)
    assert found["output"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_smallest_sizes(name, size):
    if name.startswith(("a2u", "sapa")) and size == (1, 1):
        pytest.skip("a norm takes no single value")
    check(name, channels_of(name), *size, batch=1)


@pytest.mark.parametrize("name", [name for name in EVERY if not name.startswith("a2u")])
@pytest.mark.parametrize("scale", [1, 3, 4])
def test_other_scales(name, scale):
    channels = {1: 16, 3: 72, 4: 32}[scale] if name.startswith("dysample-s") else channels_of(name)
    check(name, channels, 3, 4, batch=1, scale=scale)


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("name", ["carafe-triton", "fade-triton", "sapa-b-triton"])
def test_other_windows(name, kernel):
    check(name, channels_of(name), 5, 4, batch=1, up_kernel=kernel)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_groups_of_carafe(groups):
    check("carafe-triton", 16, 4, 5, up_group=groups, up_kernel=3)


@pytest.mark.parametrize("groups", [1, 2, 16])
def test_groups_of_dysample(groups):
    check("dysample+-triton", 16, 4, 5, groups=groups)


def test_options_of_dysample():
    check("dysample-triton", 16, 4, 5, initial_position="nearest", scope_factor=1.0)
    check("dysample+-triton", 16, 4, 5, scope_bias=True)


def test_points_that_leave_the_image_read_its_border():
    up, reference = pair("dysample-triton", 16, scope_factor=40.0)
    (x,) = features(up, 1, 5, 6)
    cotangent = torch.ones(1, 16, 10, 12, device=DEVICE)
    far = reference.displacement(x.detach().double()).abs()
    assert (far > 6).float().mean() > 0.3
    expected = results(reference, [x.detach().double().requires_grad_()], cotangent)
    close(results(up, [x], cotangent), expected, 2e-3)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_more_pixels_and_channels_than_a_block(layout):
    check("carafe-triton", 40, 9, 13, batch=1, up_kernel=3, layout=layout)
    check("dysample-triton", 40, 9, 13, batch=1, layout=layout)
    check("dysample+-triton", 160, 3, 5, batch=1, groups=1, layout=layout)
    check("bilinear-triton", 70, 3, 5, batch=1, layout=layout)


def test_gating_blends_with_the_guide():
    check("fade-triton", 16, 4, 5, gated=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_half_precision_both_ways(name, dtype):
    check(name, channels_of(name), 3, 4, batch=1, dtype=dtype)


@pytest.mark.parametrize("name", EVERY)
def test_offsets_of_64_bits_lead_to_the_same_places(name, monkeypatch):
    monkeypatch.setattr(_launch, "NARROW", 1)
    check(name, channels_of(name), 3, 4, batch=1)


def test_a_logit_of_minus_infinity_has_no_weight():
    upsamplers.create("carafe-triton", 8)
    x, logits = torch.randn(1, 4, 3, 4, device=DEVICE), torch.randn(1, 36, 3, 4, device=DEVICE)
    logits[:, :8] = float("-inf")  # the first two taps
    out = torch.ops.upsamplers.window_sum(x, logits, None, 3, 1, 2, 0, False)[0]
    weights = torch.nn.functional.pixel_shuffle(logits, 2).softmax(1)
    torch.testing.assert_close(out, reassemble(x, weights, 3, scale=2), rtol=1e-4, atol=1e-5)


def test_a_gradient_that_is_not_finite_makes_no_gradient_finite():
    up, _ = pair("dysample-triton", 16)
    (x,) = features(up, 1, 3, 4)
    grad = torch.zeros(1, 16, 6, 8, device=DEVICE)
    grad[0, 0, 0, 0] = float("inf")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        (found,) = torch.autograd.grad(up(x), x, grad)
    finally:
        torch.use_deterministic_algorithms(False)
    assert not found.isfinite().any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["carafe-triton", "dysample+-triton", "bilinear-triton", "sapa-b-triton"])
def test_half_precision_is_summed_in_float32(name, dtype):
    up, reference = pair(name, channels_of(name), dtype=dtype)
    inputs = features(up, 1, 4, 5, dtype)
    same = upsamplers.create(upsamplers.get(name).reference, channels_of(name)).to(DEVICE, dtype)
    same.load_state_dict(up.state_dict())
    expected = reference(*(tensor.double() for tensor in inputs))
    scale = expected.abs().amax()
    worst, references = (
        ((operator(*inputs).double() - expected).abs().amax() / scale).item() for operator in (up, same)
    )
    assert up(*inputs).dtype == dtype
    assert worst <= max(2 * references, 1e-3)


def test_deterministic_sums_are_the_same_bits_and_right():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        first, _ = check("dysample-triton", 16, 5, 7)
        second, _ = check("dysample-triton", 16, 5, 7)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(first["input 0"], second["input 0"])


def test_no_gradient_at_all_is_zero_also_in_whole_steps():
    up, _ = pair("dysample-triton", 16)
    (x,) = features(up, 1, 3, 4)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        (found,) = torch.autograd.grad(up(x), x, torch.zeros(1, 16, 6, 8, device=DEVICE))
    finally:
        torch.use_deterministic_algorithms(False)
    assert found.abs().max() == 0
