"""Point sampling and bilinear interpolation on Triton, values and every gradient: on a GPU, or interpreted."""

import pytest
import torch
from triton_pairs import DEVICE, agree, check, features, marks, pair, unwritten_shows

from upsamplers import Unsupported
from upsamplers.functional import sample_points

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows]


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def some(*shape, layout=torch.contiguous_format):
    torch.manual_seed(3)
    return torch.randn(shape, device=DEVICE).contiguous(memory_format=layout).requires_grad_()


def test_more_pixels_and_channels_than_a_block():
    check("dysample", 34, 5, 18, batch=1, groups=1)
    check("bilinear", 34, 5, 67, batch=1)
    check("dysample", 34, 2, 9, batch=1, groups=1, layout=torch.channels_last)
    check("bilinear", 70, 5, 9, batch=1, layout=torch.channels_last)


def test_options_of_dysample():
    check("dysample", 4, 3, 4, batch=1, groups=2, initial_position="nearest", scope_factor=1.0)
    check("dysample+", 4, 3, 4, batch=1, groups=2, scope_bias=True)


def test_displacements_alone_are_enough():
    agree(lambda *given, **on: sample_points(*given, 2, **on), some(2, 6, 2, 3), some(2, 24, 2, 3), tolerance=2e-4)


def test_a_common_half_precision_of_offsets_and_another_of_x():
    x, offsets = some(1, 4, 3, 4), some(1, 16, 3, 4).to(torch.float16)
    found = agree(lambda *given, **on: sample_points(*given, 2, **on), x, offsets, tolerance=2e-3)
    assert [one.dtype for one in found.values()] == [torch.float32, torch.float32, torch.float16]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_points_far_away_are_read_and_their_gradients_added(layout):
    x, offsets, scopes = (some(1, count, 5, 6, layout=layout) for count in (4, 16, 16))
    distance = (6 * offsets * scopes.sigmoid()).abs()
    assert 0.2 < (distance > 2).float().mean() < 0.8  # pixels; the others are gathered
    form = lambda x, offsets, scopes, **on: sample_points(x, offsets, 2, scopes=scopes, factor=6.0, **on)  # noqa: E731
    agree(form, x, offsets, scopes, tolerance=2e-4)


@pytest.mark.parametrize("distance", [-2.5, -2.0, -1.25, -1.0, 1.0, 1.25, 2.0, 2.5])
def test_each_gradient_is_added_once_whether_gathered_or_not(distance):
    x, offsets = some(1, 1, 6, 7), torch.full((1, 2, 6, 7), distance, device=DEVICE)
    (found,) = torch.autograd.grad(sample_points(x, offsets, 1, backend="triton").sum(), x)
    (expected,) = torch.autograd.grad(sample_points(x, offsets, 1, backend="torch").sum(), x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("deterministic")
def test_deterministic_sums_are_right_and_the_same_bits():
    form = lambda *given, **on: sample_points(*given, 2, factor=4.0, **on)  # noqa: E731
    first, second = (agree(form, some(2, 4, 3, 4), some(2, 16, 3, 4), tolerance=2e-4) for _ in range(2))
    assert torch.equal(first[1], second[1])


@pytest.mark.usefixtures("deterministic")
def test_no_gradient_at_all_is_zero_also_in_whole_steps():
    x = some(1, 4, 3, 4)
    out = sample_points(x, some(1, 16, 3, 4).detach(), 2, backend="triton")
    (found,) = torch.autograd.grad(out, x, torch.zeros_like(out))
    assert found.abs().max() == 0


@pytest.mark.usefixtures("deterministic")
def test_a_gradient_that_is_not_finite_makes_no_gradient_finite():
    x = some(1, 4, 3, 4)
    out = sample_points(x, some(1, 16, 3, 4).detach(), 2, backend="triton")
    grad = torch.zeros_like(out)
    grad[0, 0, 0, 0] = float("inf")
    (found,) = torch.autograd.grad(out, x, grad)
    assert not found.isfinite().any()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_points_that_are_not_finite_are_nan_where_torch_has_them(value):
    x, offsets, scopes = some(1, 4, 3, 4), some(1, 16, 3, 4), some(1, 16, 3, 4)
    with torch.no_grad():
        offsets[0, 2, 1, 3] = value
    leaves, spoilt = [x, offsets, scopes], []
    for backend in ("torch", "triton"):
        out = sample_points(x, offsets, 2, scopes=scopes, backend=backend)
        gradients = torch.autograd.grad(out.sum(), leaves)[1:]
        spoilt.append([tensor.isnan() for tensor in (out, *gradients)])
    assert spoilt[0][0].any()
    for theirs, ours in zip(*spoilt, strict=True):
        assert torch.equal(theirs, ours)


def test_strided_features_offsets_and_gradients():
    x, offsets = some(1, 4, 3, 8).detach()[..., ::2], some(1, 20, 5, 4).detach()[:, 2:-2, 1:-1]
    larger = some(1, 7, 6, 9, layout=torch.channels_last).detach()[:, 2:-1, :, 1:]
    for grad in (larger, torch.ones(1, 1, 1, 1, device=DEVICE).expand(1, 4, 6, 8)):
        results = []
        for backend, dtype in (("triton", torch.float32), ("torch", torch.float64)):
            leaves = [one.detach().to(dtype).requires_grad_() for one in (x, offsets)]
            out = sample_points(*leaves, 2, backend=backend)
            results.append([one.double() for one in torch.autograd.grad(out, leaves, grad.to(dtype))])
        torch.testing.assert_close(*results, rtol=1e-3, atol=1e-4)


def test_initial_displacements_that_are_learnt_run_on_torch():
    x, offsets, initial = some(1, 4, 3, 4), some(1, 8, 3, 4), some(1, 8, 1, 1)
    with pytest.raises(Unsupported, match="has no gradient of the initial displacements"):
        sample_points(x, offsets, 2, initial=initial, backend="triton")
    with torch.no_grad():
        assert sample_points(x, offsets, 2, initial=initial, backend="triton").shape == (1, 4, 6, 8)


def test_shapes_that_do_not_fit_are_refused():
    x = some(1, 6, 3, 4)
    for offsets, options, message in (
        (some(1, 6, 3, 4), {}, "offsets have shape"),
        (some(1, 16, 3, 5), {}, "offsets have shape"),
        (some(1, 32, 3, 4), {}, "6 channels"),
        (some(1, 8, 3, 4), {"scopes": some(1, 16, 3, 4)}, "scopes have shape"),
        (some(1, 8, 3, 4), {"initial": some(1, 16, 1, 1).detach()}, "initial has 16 displacements; expected 8"),
    ):
        for backend in ("torch", "triton"):
            with pytest.raises(Unsupported, match=message):
                sample_points(x, offsets, 2, backend=backend, **options)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["dysample+", "bilinear"])
def test_half_precision_is_summed_in_float32(name, dtype):
    up, reference = pair(name, 8, dtype=dtype)
    (x,) = features(up, 1, 4, 5, dtype)
    expected = reference(x.double())

    def worst():
        return ((up(x).double() - expected).abs().amax() / expected.abs().amax()).item()

    ours, up.backend = worst(), "torch"
    assert ours <= max(2 * worst(), torch.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["dysample+", "dysample-s+"])
def test_hooks_of_the_projections_are_called(name):
    up, _ = pair(name, 8, groups=2)
    (x,) = features(up, 1, 3, 4)
    calls = []
    for layer in (up.offset, up.scope):
        layer.register_forward_hook(lambda layer, inputs, out: calls.append(layer))
    with torch.no_grad():
        up(x)
    up(x)
    up.backend = "torch"
    up(x)
    assert calls == [up.offset, up.scope] * 3


def test_weights_read_by_the_kernel_are_those_a_parametrisation_makes():
    up, _ = pair("dysample-s+", 8, groups=2)
    torch.nn.utils.parametrizations.weight_norm(up.offset)
    (x,) = (tensor.detach() for tensor in features(up, 1, 3, 4))
    with torch.no_grad():
        up.offset.parametrizations.weight.original0.mul_(2)
        found = up(x)
    torch.testing.assert_close(found, up(x), rtol=1e-4, atol=1e-5)
