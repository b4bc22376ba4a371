"""Local deformable attention: its two forms compared, and what its blocks must not show."""

from __future__ import annotations

import pytest
import torch
from live_storages import peak_bytes

from upsamplers.errors import Unsupported
from upsamplers.functional import attended_points
from upsamplers.functional._torch import point_attention
from upsamplers.functional._torch.bilinear_taps import Spread, dots_with_rows, sums_of_rows
from upsamplers.functional._torch.point_blocks import Block, Neighbourhood, blocks
from upsamplers.functional._torch.portable_points import sampled_sum

HOOD = Neighbourhood(kernel=3, groups=2, reach=3.0)


def make(size=(5, 7), *, batch=2, channels=6, inside=4, scale=2, hood=HOOD, dtype=torch.float64):
    """X, key, query, bias and offsets, and a gradient of the output."""
    torch.manual_seed(0)
    large = tuple(scale * one for one in size)
    shapes = [(batch, channels, *size), (batch, inside, *size), (batch, inside, *large), (hood.points, inside)]
    shapes += [(batch, 2 * hood.groups * hood.points, *large), (batch, channels, *large)]
    return [torch.randn(shape, dtype=torch.float64).to(dtype) for shape in shapes]


def results(form, *tensors, hood=HOOD):
    """The output and the five gradients."""
    *inputs, grad = tensors
    inputs = [one.detach().requires_grad_() for one in inputs]
    out = form(*inputs, hood)
    return [out.detach(), *torch.autograd.grad(out, inputs, grad)]


def assert_same(found, expected, tolerance=1e-9):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance, check_dtype=False)


@pytest.mark.parametrize("size", [(5, 7), (1, 6), (9, 1), (1, 1)])
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("hood", [HOOD, Neighbourhood(1, 1, 0.5), Neighbourhood(5, 2, 30.0)], ids=str)
def test_values_and_gradients_are_those_of_grid_sample(hood, scale, size):
    tensors = make(size, scale=scale, hood=hood)
    assert_same(results(attended_points, *tensors, hood=hood), results(sampled_sum, *tensors, hood=hood))


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("rows", [1, 3, 7, 100])
@pytest.mark.parametrize("reach", [0.01, 1.0, 3.0, 50.0])
def test_the_blocks_do_not_show_in_the_result(monkeypatch, reach, rows, images):
    hood = Neighbourhood(3, 2, reach)
    tensors = make((11, 6), batch=3, hood=hood)
    # Every point at the end of its reach too.
    tensors[4][0] = tensors[4][0].sign() * 50
    expected = results(sampled_sum, *tensors, hood=hood)

    def cut(x, query, hood, numbers):
        tall, wide = query.shape[2:]
        budget = min(rows, tall) * wide * numbers * 8 * (images if rows >= tall else 1)
        monkeypatch.setattr("upsamplers.functional._torch.point_blocks.CPU_AT_LEAST", budget)
        monkeypatch.setattr("upsamplers.functional._torch.point_blocks.CPU_AT_MOST", budget)
        found = list(blocks(x, query, hood, numbers))
        assert found[0].rows == slice(0, min(rows, tall))
        assert found[0].images == slice(0, images if rows >= tall else 1)
        return found

    monkeypatch.setattr(point_attention, "blocks", cut)
    assert_same(results(attended_points, *tensors, hood=hood), expected)


def test_a_block_reads_the_rows_that_its_points_reach_and_not_the_image():
    x, query = torch.empty(1, 256, 120, 120, device="meta"), torch.empty(1, 64, 240, 240, device="meta")
    found = list(blocks(x, query, Neighbourhood(3, 2, 11.0), 1000))
    # Points reach 12 of the output's rows, 6 of x's.
    assert all(one.band.stop - one.band.start <= 2 * 8 + 4 + (one.rows.stop - one.rows.start) // 2 for one in found)
    assert [one.rows.start for one in found[1:]] == [one.rows.stop for one in found[:-1]]
    small = list(blocks(torch.empty(8, 32, 5, 5), torch.empty(8, 8, 10, 10), HOOD, 1000))
    assert small == [Block(slice(0, 5), slice(0, 10), slice(0, 9)), Block(slice(5, 8), slice(0, 10), slice(0, 9))]


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float32, 1e-5), (torch.bfloat16, 8e-3), (torch.float16, 1e-3)])
def test_every_dtype_is_as_exact_as_its_result_can_be(dtype, relative):
    tensors = make((7, 9), dtype=dtype)
    found = results(attended_points, *tensors)
    exact = results(attended_points, *(one.double() for one in tensors))
    assert all(one.dtype == dtype for one in found)
    for one, other in zip(found, exact, strict=True):
        assert (one - other).abs().max() <= relative * other.abs().max()


@pytest.mark.filterwarnings("ignore")
def test_first_and_second_derivatives_are_exact():
    hood = Neighbourhood(3, 2, 1.3)
    inputs = [one.requires_grad_() for one in make((3, 2), batch=1, channels=4, hood=hood)[:5]]
    assert torch.autograd.gradcheck(lambda *values: attended_points(*values, hood), inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda *values: attended_points(*values, hood), inputs, fast_mode=True)


@pytest.mark.parametrize("which", [0, 1, 2, 4])
def test_what_is_no_number_spoils_pixels_that_see_it_and_stops_nothing(which):
    tensors = make((9, 9), hood=Neighbourhood(3, 2, 1.0))
    tensors[which][1, 0, 0, 0] = torch.nan
    out, *gradients = results(attended_points, *tensors, hood=Neighbourhood(3, 2, 1.0))
    assert out[1, :, 0, 0].isnan().any()
    assert out[0].isfinite().all()
    assert out[1, :, 9:].isfinite().all()
    assert all(one.shape == other.shape for one, other in zip(gradients, tensors[:5], strict=True))


def test_no_sample_is_copied_out_forward_or_backward():
    hood = Neighbourhood(3, 2, 11.0)
    *inputs, grad = make((60, 60), batch=1, channels=256, inside=64, hood=hood, dtype=torch.float32)
    output = 4 * grad.numel()
    with torch.inference_mode():
        assert peak_bytes(lambda: attended_points(*inputs, hood)) <= 1.8 * output
    leaves = [one.requires_grad_() for one in inputs]
    out = attended_points(*leaves, hood)
    assert peak_bytes(lambda: torch.autograd.grad(out, leaves, grad)) <= 1.8 * output


def test_sums_dots_and_spread_of_rows_are_those_of_indexing():
    torch.manual_seed(0)
    table, vectors, weights = torch.randn(7, 3), torch.randn(5, 3), torch.randn(5, 4)
    rows = torch.randint(0, 6, (5, 4), dtype=torch.int32)
    torch.testing.assert_close(sums_of_rows(table, rows, weights), (table[rows] * weights.unsqueeze(2)).sum(1))
    torch.testing.assert_close(dots_with_rows(table, rows, vectors), (table[rows] * vectors.unsqueeze(1)).sum(2))
    expected = torch.zeros(7, 3).index_add(
        0, rows.flatten(), (weights.unsqueeze(2) * vectors.unsqueeze(1)).flatten(0, 1)
    )
    torch.testing.assert_close(Spread(rows, 7).sums(vectors, weights), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({1: (2, 4, 5, 6)}, r"expected keys of shape \(2, 4, 5, 7\) for x \(2, 6, 5, 7\), not \(2, 4, 5, 6\)"),
        ({2: (2, 6, 10, 14)}, r"expected a query of shape \(2, 4, 10, 14\)"),
        ({3: (8, 4)}, r"expected a bias of shape \(9, 4\)"),
        ({4: (2, 18, 10, 14)}, r"expected offsets of shape \(2, 36, 10, 14\)"),
        ({0: (2, 5, 5, 7)}, "5 channels are not divisible by 2"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    inputs = make()[:5]
    for which, shape in change.items():
        inputs[which] = torch.zeros(shape)
    with pytest.raises(Unsupported, match=message):
        attended_points(*inputs, HOOD)


def test_a_window_without_a_middle_is_refused():
    with pytest.raises(Unsupported, match="must be odd, not 2"):
        attended_points(*make()[:5], Neighbourhood(2, 2, 1.0))
