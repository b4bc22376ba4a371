"""A2U's Triton forms: pools, filters and their gradients compared with float64."""

import pytest
import torch
from triton_pairs import DEVICE, close, features, marks, pair, unwritten_shows

from upsamplers import Unsupported
from upsamplers.functional.average_pool import average_pool
from upsamplers.functional.filter_per_image import filter_per_image

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows]
LAYOUTS = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def drawn(*shape, dtype=torch.float32, layout=torch.contiguous_format):
    tensor = torch.randn(shape).to(DEVICE, dtype)
    return (tensor.contiguous(memory_format=layout) if len(shape) == 4 else tensor).requires_grad_()


def compare(function, inputs, tolerance):
    """Outputs and gradients on Triton against those in float64 on torch."""
    doubled = [tensor.detach().double().requires_grad_() for tensor in inputs]
    outputs, expected = function(*inputs, backend="triton"), function(*doubled, backend="torch")
    cotangents = [torch.randn_like(output) for output in outputs]
    gradients = torch.autograd.grad(outputs, inputs, cotangents)
    expected_gradients = torch.autograd.grad(expected, doubled, [cotangent.double() for cotangent in cotangents])
    names = [f"output {index}" for index in range(len(outputs))] + [f"gradient {index}" for index in range(len(inputs))]
    close(
        dict(zip(names, (*outputs, *gradients), strict=True)),
        dict(zip(names, (*expected, *expected_gradients), strict=True)),
        tolerance,
    )
    return outputs


@LAYOUTS
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (1, 9), (2, 17)], ids=str)
def test_two_filters_and_their_gradients_are_right(size, layout):
    torch.manual_seed(0)
    height, width = size
    y = drawn(2, 3, 2 * height, 2 * width, layout=layout)
    for filtered in compare(filter_per_image, [y, drawn(2, 2, 6, 6)], TOLERANCES[torch.float32]):
        assert filtered.is_contiguous(memory_format=layout)


@pytest.mark.parametrize(
    ("size", "side", "dtype"),
    [((2, 6, 10), side, torch.float32) for side in (2, 6, 10)]
    + [((35, 4, 6), 6, torch.float32), ((3, 8, 10), 6, torch.bfloat16)],
)
def test_filters_of_other_sides_of_more_channels_than_a_program_has_and_of_bfloat16_are_right(size, side, dtype):
    torch.manual_seed(0)
    inputs = [drawn(1, *size, dtype=dtype), drawn(1, 2, side, side, dtype=dtype)]
    compare(filter_per_image, inputs, TOLERANCES[dtype])


@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize(
    ("y", "filters"), [((2, 3, 4, 6), (1, 2, 6, 6)), ((1, 3, 4, 5), (1, 2, 6, 6)), ((1, 3, 4, 6), (1, 2, 6, 4))]
)
def test_filters_and_images_that_do_not_fit_are_refused(y, filters, backend):
    with pytest.raises(Unsupported, match="expected an image of even sides and filters"):
        filter_per_image(torch.zeros(y, device=DEVICE), torch.zeros(filters, device=DEVICE), backend=backend)


def test_a_filter_without_a_gradient_is_left_out():
    torch.manual_seed(0)
    y, filters = drawn(1, 2, 6, 8), drawn(1, 2, 6, 6)
    doubled = [tensor.detach().double().requires_grad_() for tensor in (y, filters)]
    gradients = torch.autograd.grad(filter_per_image(y, filters, backend="triton")[1].sum(), (y, filters))
    expected = torch.autograd.grad(filter_per_image(*doubled, backend="torch")[1].sum(), doubled)
    for gradient, reference in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient.double(), reference, rtol=1e-4, atol=1e-5)


@LAYOUTS
@pytest.mark.parametrize("size", [(12, 18), (10, 14), (2, 2), (1, 9), (7, 70)], ids=str)
def test_a_pool_its_mean_and_their_gradient_are_right(size, layout):
    torch.manual_seed(0)
    y = drawn(2, 3, *size, layout=layout)
    compare(lambda y, backend: average_pool(y, 6, backend=backend), [y], TOLERANCES[torch.float32])


@pytest.mark.parametrize(
    ("hooked", "layout"),
    [(False, torch.contiguous_format), (False, torch.channels_last), (True, torch.contiguous_format)],
)
def test_a2u_without_gradients_is_right_and_calls_layers_with_hooks(hooked, layout):
    up, reference = pair("a2u", 4, guide_channels=32)
    calls = []
    if hooked:
        up.kernel_gen.bnu.register_forward_hook(lambda *call: calls.append(call))
    x, guide = (tensor.detach() for tensor in features(up, 1, 2, 3, layout=layout))
    with torch.inference_mode():
        out = up(x, guide)
        close({"output": out}, {"output": reference(x.double(), guide.double())}, 2e-4)
    assert out.is_contiguous(memory_format=layout)
    assert len(calls) == hooked
