"""Neighbourhood attention on Triton and on torch in float64."""

import pytest
import torch
from triton_pairs import DEVICE, agree, close, features, leaf, marks, pair, results, unwritten_shows

from upsamplers import Unsupported
from upsamplers.functional import neighbourhood_attention

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows]


def make(height, width, *, batch=1, heads=1, depth=4, channels=4, scale=2, dtype=torch.float32):
    """Query, key and x; depth and channels are those of a head."""
    torch.manual_seed(0)
    shapes = (heads * depth, scale * height, scale * width), (heads * depth, height, width)
    shapes = (*shapes, (heads * channels, height, width))
    return [torch.randn(batch, *shape).to(DEVICE, dtype) for shape in shapes]


@pytest.mark.parametrize(
    ("kernel", "size", "sizes"),
    [
        (3, (3, 3), {}),  # one window for all
        (3, (5, 7), {"batch": 2, "heads": 2, "depth": 3, "channels": 5}),
        (1, (9, 10), {}),
        (3, (6, 4), {"heads": 2, "channels": 70, "scale": 1}),
        (9, (9, 10), {"depth": 20, "channels": 3, "scale": 1}),
        (3, (3, 4), {"scale": 7}),
        pytest.param(13, (14, 13), {"depth": 16}, marks=pytest.mark.exhaustive),
    ],
    ids=str,
)
def test_values_and_gradients_are_those_of_the_pytorch_form(kernel, size, sizes):
    heads, scale = sizes.get("heads", 1), sizes.get("scale", 2)
    form = lambda *given, **on: neighbourhood_attention(*given, kernel, heads=heads, scale=scale, **on)  # noqa: E731
    agree(form, *make(*size, **sizes))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_summed_in_float32(dtype):
    form = lambda *given, **on: neighbourhood_attention(*given, 3, heads=2, **on)  # noqa: E731
    agree(form, *make(4, 5, heads=2, dtype=dtype), tolerance=3e-2)


def test_queries_and_features_of_different_dtypes_are_multiplied_in_float32():
    query, key, x = make(4, 5)
    form = lambda *given, **on: neighbourhood_attention(*given, 3, **on)  # noqa: E731
    out, *_ = agree(form, query.bfloat16(), key.bfloat16(), x, tolerance=5e-3).values()
    assert out.dtype == x.dtype
    agree(form, query.bfloat16(), key, x, tolerance=5e-3)


def test_gradients_that_are_not_wanted_are_not_computed():
    query, key, x = make(3, 4)
    out = neighbourhood_attention(query.requires_grad_(), key, x, 3, backend="triton")
    out.sum().backward()
    assert query.grad is not None
    assert key.grad is x.grad is None


@pytest.mark.parametrize("heads", [0, 3, 2.0])
def test_heads_that_divide_nothing_are_refused(heads):
    with pytest.raises(Unsupported, match="head"):
        neighbourhood_attention(*make(3, 4), 3, heads=heads, backend="triton")


def test_naf_has_the_values_and_gradients_of_torch():
    up, reference = pair("naf", 8, embedding_channels=16, heads=2, up_kernel=3)
    inputs = features(up.eval(), 1, 4, 5)  # in training positions are stretched at random
    cotangent = torch.randn(1, 8, 8, 10, device=DEVICE)
    doubled = [leaf(tensor) for tensor in inputs]
    close(results(up, inputs, cotangent), results(reference.eval(), doubled, cotangent.double()), 1e-3)


def test_large_logits_neither_overflow_nor_lose_their_window():
    query, key, x = make(5, 6)
    out = neighbourhood_attention(300 * query, -300 * key.abs(), x, 3, backend="triton")
    expected = neighbourhood_attention(300 * query.double(), -300 * key.abs().double(), x.double(), 3, backend="torch")
    torch.testing.assert_close(out.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_laid_out_as_what_they_are_of(layout):
    leaves = [tensor.to(memory_format=layout).requires_grad_() for tensor in make(3, 4)]
    out = neighbourhood_attention(*leaves, 3, backend="triton")
    assert out.is_contiguous(memory_format=layout)
    for gradient, tensor in zip(torch.autograd.grad(out.sum(), leaves), leaves, strict=True):
        assert gradient.stride() == tensor.stride()


def test_only_the_inputs_are_kept_for_backward():
    leaves = [tensor.requires_grad_() for tensor in make(3, 4)]
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda one: one):
        neighbourhood_attention(*leaves, 3, backend="triton")
    assert [one.data_ptr() for one in kept] == [leaf.data_ptr() for leaf in leaves]


def test_heads_of_more_than_256_channels_are_left_to_torch():
    given = make(1, 1, depth=257)
    with pytest.raises(Unsupported, match="up to 256 channels of queries a head, not 257"):
        neighbourhood_attention(*given, 1, backend="triton")
    assert neighbourhood_attention(*given, 1).shape == (1, 4, 2, 2)


def test_opcheck_passes():
    import upsamplers.functional._triton.neighbourhood_attention  # noqa: F401  (registers it)

    arguments = (*(tensor.requires_grad_() for tensor in make(3, 4)), 3, 1, 2)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(torch.ops.upsamplers.neighbourhood_attention_fwd.default, arguments, test_utils=tests)
