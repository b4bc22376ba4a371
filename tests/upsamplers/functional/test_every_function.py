"""What every function of upsamplers.functional promises: strides, what backward keeps, repeatability, fake tensors."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from upsamplers import functional
from upsamplers.functional import (
    Neighbourhood,
    attended_points,
    cross_attention,
    filter_per_image,
    filter_responses,
    interpolate_bilinear,
    local_affinity,
    neighbourhood_attention,
    reassemble,
    sample_points,
    selected_points,
)

HOOD = Neighbourhood(kernel=3, groups=2, reach=3.0)
# Called with tensors of these shapes, for B, C, H and W at scale 2.
FUNCTIONS = {
    "reassemble": (
        lambda x, weights: reassemble(x, weights, 3),
        lambda b, c, h, w: [(b, c, h, w), (b, 9, 2 * h, 2 * w)],
    ),
    "local_affinity": (
        lambda query, key: local_affinity(query, key, 3),
        lambda b, c, h, w: [(b, c, 2 * h, 2 * w), (b, c, h, w)],
    ),
    "attended_points": (
        lambda *tensors: attended_points(*tensors, HOOD),
        lambda b, c, h, w: [(b, c, h, w), (b, 4, h, w), (b, 4, 2 * h, 2 * w), (9, 4), (b, 36, 2 * h, 2 * w)],
    ),
    "cross_attention": (
        lambda *tensors: cross_attention(*tensors, heads=2, window=0.2),
        lambda b, c, h, w: [(b, 4, 2 * h, 2 * w), (b, 4, h, w), (b, c, h, w)],
    ),
    "neighbourhood_attention": (
        lambda *tensors: neighbourhood_attention(*tensors, 3, heads=2),
        lambda b, c, h, w: [(b, 8, 2 * h, 2 * w), (b, 8, h, w), (b, c, h, w)],
    ),
    "filter_per_image": (
        lambda y, filters: torch.stack(filter_per_image(y, filters)),
        lambda b, c, h, w: [(b, c, 2 * h, 2 * w), (b, 2, 6, 6)],
    ),
    "interpolate_bilinear": (lambda x: interpolate_bilinear(x, 2), lambda b, c, h, w: [(b, c, h, w)]),
    "filter_responses": (filter_responses, lambda b, c, h, w: [(b, c, h, w), (8, 1, 3, 3)]),
    "sample_points": (
        lambda x, displacement: sample_points(x, displacement, 2),
        lambda b, c, h, w: [(b, c, h, w), (b, 16, h, w)],
    ),
    "selected_points": (
        lambda *tensors: selected_points(*tensors, groups=2, scale=2),
        lambda b, c, h, w: [(b, c, h, w), (b, 4, h, w), (b, 4, 2 * h, 2 * w), (b, 12, 2 * h, 2 * w)],
    ),
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def make(name, batch=2, channels=6, height=5, width=7, dtype=torch.float64):
    torch.manual_seed(0)
    function, shapes = FUNCTIONS[name]
    return function, [torch.randn(shape, dtype=dtype) for shape in shapes(batch, channels, height, width)]


def results(function, inputs):
    """The output and the gradients of the inputs."""
    leaves = [one.detach().requires_grad_() for one in inputs]
    out = function(*leaves)
    torch.manual_seed(1)
    grad = torch.randn(out.shape, dtype=out.dtype)
    return [out.detach(), *torch.autograd.grad(out, leaves, grad)]


def assert_equal(results, expected):
    assert all(torch.equal(one, other) for one, other in zip(results, expected, strict=True))


@every_function
@pytest.mark.parametrize(
    "turn", [lambda one: one.mT.contiguous().mT, lambda one: one.to(memory_format=torch.channels_last)]
)
def test_any_strides_are_read(name, turn):
    function, inputs = make(name)
    turned = [turn(one) if one.dim() == 4 else one.mT.contiguous().mT for one in inputs]
    for one, other in zip(results(function, turned), results(function, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-13)


def test_every_public_function_is_here():
    assert {*FUNCTIONS} == {*functional.__all__} - {"Neighbourhood", "normalised_points"}


@pytest.mark.parametrize(
    "name", [name for name in FUNCTIONS if name not in ("sample_points", "filter_responses", "interpolate_bilinear")]
)
def test_only_the_inputs_are_kept_for_backward(name):
    function, inputs = make(name)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda one: one):
        function(*(one.requires_grad_() for one in inputs))
    assert {one.data_ptr() for one in kept} == {one.data_ptr() for one in inputs}
    assert len(kept) == len(inputs)


@every_function
@pytest.mark.usefixtures("two_threads")
def test_repeated_runs_agree_to_the_last_bit(name):
    function, inputs = make(name, channels=64, height=33, width=30, dtype=torch.float32)
    expected = results(function, inputs)
    for _ in range(3):
        assert_equal(results(function, inputs), expected)


@every_function
def test_inputs_are_never_written_to(name):
    function, inputs = make(name)
    copies = [one.clone() for one in inputs]
    results(function, inputs)
    assert_equal(inputs, copies)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "filter_per_image"])
def test_autocast_does_not_change_the_result(name):
    function, inputs = make(name, dtype=torch.float32)
    expected = results(function, inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_equal(results(function, inputs), expected)


@every_function
def test_fake_tensors_pass_through_forward_and_backward(name):
    expected = [one.shape for one in results(*make(name))]
    with FakeTensorMode():
        assert [one.shape for one in results(*make(name))] == expected
