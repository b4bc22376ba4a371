"""Every operator with a Triton form against torch in float64, values and every gradient: on a GPU, or interpreted."""

import pytest
import torch
from triton_pairs import DEVICE, EVERY, check, close, features, leaf, marks, pair, results, small, unwritten_shows

import upsamplers
from upsamplers import Unsupported

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows]
# One of each kind of kernel.
EACH_TIME = (
    "bilinear",
    "max-unpool",
    "carafe",
    "fade-gated",
    "indexnet",
    "sapa-b",
    "dysample+",
    "lda-aqu",
    "jbu",
    "naf",
)


def each_kind(names):
    """Some of these operators each time, all in `make test-all`."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=[pytest.mark.exhaustive] * (name not in EACH_TIME)) for name in names]
    )


HALVES = [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.exhaustive)]
# The interpreter takes 36 programs for A2U's pool alone: what its own kernels do is in test_image_filters.py.
QUICK = [name for name in EVERY if name != "a2u"]
# In half precision their gradients differ by how differences of nearly equal features are rounded.
UNSTABLE = ("freqfusion", "resfu")
# Their gradients are window sums again, or a gather.
TWICE = (
    "max-unpool", "carafe", "fade", "fade-gated", "fade-lite", "indexnet", "sapa-b", "sierra", "freqfusion", "jbu",
    "jbu-stack",
)  # fmt: skip


def small_pair(name, scale=2, **options):
    channels, smaller = small(name, scale)
    return pair(name, channels, scale=scale, **smaller, **options)


@pytest.mark.parametrize(
    "layout", [torch.contiguous_format, pytest.param(torch.channels_last, marks=pytest.mark.exhaustive)], ids=str
)
@pytest.mark.parametrize("name", EVERY)
def test_values_and_gradients_are_those_of_torch(name, layout):
    channels, options = small(name)
    found, _ = check(name, channels, 2, 3, batch=1, layout=layout, **options)
    assert found["output"].is_contiguous(memory_format=layout)


@pytest.mark.parametrize("name", QUICK)
def test_odd_sizes_and_several_images(name):
    channels, options = small(name)
    check(name, channels, 3, 2, batch=2, **options)


@pytest.mark.parametrize(
    "name", [name for name in QUICK if name not in ("sapa-b", "indexnet", "jbu", "jbu-stack", "resfu")]
)
def test_an_image_of_one_pixel(name):
    channels, options = small(name)
    check(name, channels, 1, 1, batch=1, **options)


@pytest.mark.parametrize("scale", [3, *(pytest.param(scale, marks=pytest.mark.exhaustive) for scale in (1, 4))])
@each_kind([name for name in QUICK if not upsamplers.get(name).why_not(scale=3)])
def test_other_scales(name, scale):
    if upsamplers.get(name).why_not(scale=scale):
        pytest.skip(f"not at scale {scale}")
    channels, options = small(name, scale)
    check(name, channels, 2, 3, batch=1, scale=scale, **options)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@each_kind([name for name in QUICK if name not in UNSTABLE])
def test_half_precision_is_summed_in_float32(name, dtype):
    channels, options = small(name)
    check(name, channels, 2, 3, batch=1, dtype=dtype, **options)


@pytest.mark.parametrize(
    ("dtype", "layout"),
    [
        (torch.float32, torch.contiguous_format),
        (torch.bfloat16, torch.channels_last),
        *(
            pytest.param(*other, marks=pytest.mark.exhaustive)
            for other in ((torch.float32, torch.channels_last), (torch.bfloat16, torch.contiguous_format))
        ),
    ],
    ids=str,
)
@each_kind(QUICK)
def test_inference_has_the_values_of_torch(name, layout, dtype):
    """Where no gradient is wanted projections are fused, and norms folded into them."""
    up, reference = small_pair(name, dtype=dtype)
    inputs = [tensor.detach() for tensor in features(up, 1, 2, 3, dtype, layout)]
    if dtype != torch.float32 and hasattr(reference, "displacement"):
        pytest.skip("a displacement in half precision is its own: test_projection.py")
    with torch.inference_mode():
        out = up.eval()(*inputs)
        expected = reference.eval()(*(leaf(tensor).detach() for tensor in inputs))
    close({"output": out}, {"output": expected}, 2e-4 if dtype == torch.float32 else 0.1)
    assert out.dtype == dtype
    assert out.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("name", EVERY)
def test_a_batch_of_none_has_an_output_of_none_and_gradients_of_zero(name):
    up, _ = small_pair(name)
    inputs = features(up, 0, 3, 4)
    out = up.eval()(*inputs)
    out.sum().backward()
    assert out.shape == (0, up.channels, 6, 8)
    assert inputs[0].grad.shape == inputs[0].shape
    assert not any(parameter.grad.any() for parameter in up.parameters() if parameter.grad is not None)
    with torch.inference_mode():
        assert up(*(tensor.detach() for tensor in inputs)).shape == out.shape


@each_kind(QUICK)
def test_inputs_and_gradients_with_any_strides(name):
    up, reference = small_pair(name)
    inputs = features(up, 1, 2, 3)
    inputs = [leaf(tensor.repeat_interleave(2, -1)[..., ::2], torch.float32) for tensor in inputs]
    assert not any(tensor.is_contiguous() for tensor in inputs)
    expected = reference(*(leaf(tensor) for tensor in inputs))
    part = torch.randn(1, up.channels + 3, 4, 7).to(DEVICE).contiguous(memory_format=torch.channels_last)
    for cotangent in (part[:, 2:-1, :, 1:], torch.ones((), device=DEVICE).expand(expected.shape)):
        doubled = [leaf(tensor) for tensor in inputs]
        close(results(up, inputs, cotangent), results(reference, doubled, cotangent.double()), 1e-3)


def second_derivatives(module, inputs):
    """The gradient by x of the squares of a gradient by x."""
    x = inputs[0]
    (gradient,) = torch.autograd.grad(module(*inputs).square().sum(), x, create_graph=True)
    return dict(enumerate(torch.autograd.grad(gradient.square().sum(), x)))


@each_kind(QUICK)
def test_second_derivatives_are_those_of_torch_or_refused(name):
    up, reference = small_pair(name)
    inputs = features(up, 1, 2, 3)
    if name in TWICE:
        expected = second_derivatives(reference, [leaf(tensor) for tensor in inputs])
        close(second_derivatives(up, inputs), expected, 1e-3)
    else:
        with pytest.raises(Unsupported, match="backend 'torch'"):
            second_derivatives(up, inputs)


@pytest.mark.skipif(DEVICE == "cpu", reason="interpreted programs run in one order")
# Torch's own gradients of NAF's reflection and pool add atomically.
@pytest.mark.parametrize("name", [name for name in EVERY if name != "naf"])
def test_deterministic_algorithms_give_the_same_bits_each_time(name):
    up, _ = small_pair(name)
    inputs = features(up, 2, 13, 17)
    cotangent = torch.randn_like(up(*inputs))
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        first, second = results(up, inputs, cotangent), results(up, inputs, cotangent)
    finally:
        torch.use_deterministic_algorithms(False)
    for key, value in first.items():
        assert value is second[key] is None or torch.equal(value, second[key]), key
