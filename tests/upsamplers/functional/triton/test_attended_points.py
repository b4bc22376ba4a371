"""Local deformable attention on Triton and on torch in float64."""

from __future__ import annotations

import pytest
import torch
from triton_pairs import DEVICE, close, marks, unwritten_shows

import upsamplers
from upsamplers.functional import attended_points
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.point_blocks import Neighbourhood

pytest.importorskip("triton")
from upsamplers.functional._triton.channel_norm import channel_norm

pytestmark = [*marks, unwritten_shows]

NAMES = ("x", "key", "query", "bias", "offsets")


def make(size, hood, *, batch=1, channels=4, inside=4, scale=2):
    """X, key, query, bias and offsets, and a gradient of the output."""
    torch.manual_seed(0)
    large = tuple(scale * side for side in size)
    shapes = [(batch, channels, *size), (batch, inside, *size), (batch, inside, *large), (hood.points, inside)]
    shapes += [(batch, 2 * hood.groups * hood.points, *large), (batch, channels, *large)]
    return [torch.randn(shape, device=DEVICE) for shape in shapes]


def results(tensors, hood, backend, dtype=torch.float32):
    """The output and the five gradients, by name."""
    *inputs, grad = (tensor.detach().to(dtype) for tensor in tensors)
    leaves = [tensor.requires_grad_() for tensor in inputs]
    out = attended_points(*leaves, hood, backend=backend)
    gradients = torch.autograd.grad(out, leaves, grad)
    return {"output": out.detach(), **dict(zip(NAMES, gradients, strict=True))}


@pytest.mark.parametrize(
    ("size", "hood", "sizes"),
    [
        ((2, 3), Neighbourhood(3, 2, 3.0), {"batch": 2}),
        ((1, 3), Neighbourhood(3, 1, 30.0), {"scale": 1}),
        ((2, 1), Neighbourhood(1, 3, 0.5), {"scale": 3, "channels": 6, "inside": 9}),
        ((2, 2), Neighbourhood(1, 2, 2.0), {"scale": 1, "channels": 130, "inside": 6}),
    ],
    ids=str,
)
def test_values_and_gradients_are_those_of_the_pytorch_form(size, hood, sizes):
    tensors = make(size, hood, **sizes)
    close(results(tensors, hood, "triton"), results(tensors, hood, "torch", torch.float64), 1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_output_is_laid_out_as_x_and_gradients_as_what_they_are_of(layout):
    hood = Neighbourhood(1, 1, 1.0)
    tensors = [tensor.to(memory_format=layout) if tensor.dim() == 4 else tensor for tensor in make((2, 3), hood)]
    found = results(tensors, hood, "triton")
    assert found["output"].is_contiguous(memory_format=layout)
    for name, tensor in zip(NAMES, tensors, strict=False):
        assert found[name].stride() == tensor.stride(), name


def test_an_unmoved_point_has_the_gradient_that_it_has_in_the_pytorch_form():
    hood = Neighbourhood(3, 1, 1.0)
    tensors = make((2, 2), hood)
    tensors[4].zero_()  # the points of corner pixels lie on pixels of x, where the gradient jumps
    close(results(tensors, hood, "triton"), results(tensors, hood, "torch", torch.float64), 1e-5)


def test_what_is_no_number_spoils_the_pixels_that_see_it():
    hood = Neighbourhood(1, 2, 1.0)
    tensors = make((2, 2), hood)
    tensors[4][0, 0, 0, 0] = torch.nan
    out = attended_points(*tensors[:5], hood, backend="triton")
    assert out[0, :2, 0, 0].isnan().all()
    assert out[0, :, 1:].isfinite().all()


@pytest.mark.filterwarnings("ignore:Deterministic behavior was enabled")  # cuBLAS wants a variable of the environment
def test_deterministic_gradients_are_those_of_the_pytorch_form():
    hood = Neighbourhood(1, 1, 1.0)
    tensors = make((2, 3), hood)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        found, expected = results(tensors, hood, "triton"), results(tensors, hood, "torch")
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(found[name], expected[name]) for name in NAMES)


def test_a_column_of_pixels_with_a_stride_of_its_own_is_normalised():
    x = torch.randn(1, 16, 1, 4, device=DEVICE).transpose(2, 3)
    norm = torch.nn.LayerNorm(16).to(DEVICE)
    with torch.no_grad():
        found, expected = channel_norm(x, norm.weight, norm.bias, norm.eps), norm(x.movedim(1, 3)).movedim(3, 1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("name", "norm"), [("lda-aqu", "layer_norm.norm"), ("jbu", "fixup_proj.0")])
def test_a_layer_with_a_hook_is_called(name, norm):
    options = {"guide_channels": 3, "radius": 1} if name == "jbu" else {"kernel": 1}
    up = upsamplers.create(name, 16, backend="triton", **options).to(DEVICE).eval()
    calls = []
    up.get_submodule(norm).register_forward_hook(lambda *_: calls.append(norm))
    assert not is_plain(up.get_submodule(norm))
    with torch.no_grad():
        up(*up.example_inputs(1, 2, 2))
    assert calls == [norm]
