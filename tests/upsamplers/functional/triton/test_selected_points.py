"""Dynamic selection on Triton and on torch in float64."""

import pytest
import torch
from triton_pairs import DEVICE, agree, marks, unwritten_shows

from upsamplers.functional import selected_points

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows]


def make(size, *, batch=1, groups=2, points=3, depth=3, channels=2, scale=2, spread=1.5):
    """X, key, query and offsets; depth and channels are those of a group."""
    torch.manual_seed(0)
    large = tuple(scale * side for side in size)
    x, key = torch.randn(batch, groups * channels, *size), torch.randn(batch, groups * depth, *size)
    offsets = spread * torch.randn(batch, 2 * groups * points, *large)
    return [tensor.to(DEVICE) for tensor in (x, key, torch.randn(batch, groups * depth, *large), offsets)]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((2, 3), {"batch": 2}),
        ((1, 3), {"groups": 1, "points": 1}),
        ((3, 1), {"groups": 3, "scale": 3, "depth": 1}),
        ((1, 1), {"scale": 1, "spread": 0.5}),
        ((2, 2), {"scale": 1, "channels": 130, "points": 2}),
        ((2, 3), {"spread": 100.0}),  # mostly outside
    ],
    ids=str,
)
def test_values_and_gradients_are_those_of_the_pytorch_form(size, sizes):
    groups, scale = sizes.get("groups", 2), sizes.get("scale", 2)
    agree(lambda *given, **on: selected_points(*given, groups=groups, scale=scale, **on), *make(size, **sizes))


def test_features_and_keys_may_have_different_dtypes():
    x, key, query, offsets = make((2, 3))
    form = lambda *given, **on: selected_points(*given, groups=2, scale=2, **on)  # noqa: E731
    agree(form, x, key.bfloat16(), query.bfloat16(), offsets, tolerance=2e-2)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_laid_out_as_what_they_are_of(layout):
    leaves = [tensor.to(memory_format=layout).requires_grad_() for tensor in make((2, 3))]
    out = selected_points(*leaves, groups=2, scale=2, backend="triton")
    assert out.is_contiguous(memory_format=layout)
    for gradient, tensor in zip(torch.autograd.grad(out.sum(), leaves), leaves, strict=True):
        assert gradient.stride() == tensor.stride()


def test_nan_reaches_the_pixels_and_the_group_that_see_it():
    x, key, query, offsets = make((2, 2), points=1, spread=0.2)
    offsets[0, 0, 0, 0] = torch.nan
    out = selected_points(x, key, query, offsets, groups=2, scale=2, backend="triton")
    assert out[0, :2, 0, 0].isnan().all()
    assert out[0, 2:].isfinite().all()
    assert out[0, :, 1:].isfinite().all()


def test_deterministic_gradients_are_those_of_the_pytorch_form():
    found = []
    torch.use_deterministic_algorithms(True)
    try:
        for backend in ("triton", "torch"):
            leaves = [tensor.requires_grad_() for tensor in make((2, 3))]
            out = selected_points(*leaves, groups=2, scale=2, backend=backend)
            found.append(torch.autograd.grad(out, leaves, torch.ones_like(out)))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_opcheck_passes():
    import upsamplers.functional._triton.selected_points  # noqa: F401  (registers it)

    arguments = (*(tensor.requires_grad_() for tensor in make((2, 3))), 2, 2)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(torch.ops.upsamplers.selected_points_fwd.default, arguments, test_utils=tests)
