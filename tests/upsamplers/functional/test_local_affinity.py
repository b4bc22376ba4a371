"""Local affinity compared with unfold-and-multiply, its two forms compared, and reflection at the borders."""

from __future__ import annotations

import naive_operators as naive
import pytest
import torch
from every_operator import assert_same
from every_operator import with_both_gradients as results
from live_storages import peak_bytes
from torch import Tensor

from upsamplers.errors import Unsupported
from upsamplers.functional import local_affinity, reassemble
from upsamplers.functional._torch.portable_windows import shifted_dots, shifted_sum

MODES = {"zeros": "constant", "reflection": "reflect", "replication": "replicate"}


def plain(query: Tensor, key: Tensor, kernel: int, *, scale: int = 2, border: str = "zeros") -> Tensor:
    return (naive.windows(key, kernel, scale, MODES[border]) * query.unsqueeze(2)).sum(1)


def make(batch, depth, height, width, kernel, scale, dtype=torch.float64):
    torch.manual_seed(0)
    query = torch.randn(batch, depth, scale * height, scale * width, dtype=dtype)
    key = torch.randn(batch, depth, height, width, dtype=dtype)
    grad = torch.randn(batch, kernel**2, scale * height, scale * width, dtype=dtype)
    return query, key, grad


@pytest.mark.parametrize("form", [local_affinity, shifted_dots])
@pytest.mark.parametrize("border", MODES)
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_values_and_gradients_are_those_of_unfold_and_multiply(scale, kernel, border, form):
    for height, width in ((5, 7), (4, 4)) if border == "reflection" else ((1, 1), (5, 7), (1, 6), (9, 4)):
        query, key, grad = make(2, 6, height, width, kernel, scale)
        options = {"scale": scale, "border": border}
        found = results(form, query, key, grad, kernel, **options)
        assert_same(found, results(plain, query, key, grad, kernel, **options), 1e-12)


@pytest.mark.parametrize("form", [reassemble, shifted_sum])
@pytest.mark.parametrize("border", ["reflection", "replication"])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_reassembly_of_a_continued_feature_is_that_of_a_padded_one(scale, kernel, border, form):
    for height, width in ((4, 4), (5, 7), (9, 4)) if border == "reflection" else ((1, 2), (3, 1), (5, 7)):
        query, key, grad = make(2, 6, height, width, kernel, scale)
        found = results(form, key, grad, query, kernel, scale=scale, border=border)
        weights, x = grad.requires_grad_(), key.requires_grad_()
        plain(query.detach(), x, kernel, scale=scale, border=border).backward(weights)
        assert_same(found[1:2], [x.grad], 1e-12)
        out = naive.reassembled(x, weights, scale, MODES[border])
        assert_same(found[::2], [out, *torch.autograd.grad(out, [weights], query)], 1e-12)


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float32, 2e-6), (torch.bfloat16, 8e-3), (torch.float16, 1e-3)])
def test_every_dtype_is_as_exact_as_its_result_can_be(dtype, relative):
    query, key, grad = make(2, 32, 7, 9, 5, 2, dtype)
    found = results(local_affinity, query, key, grad, 5)
    exact = results(plain, query.double(), key.double(), grad.double(), 5)
    assert all(one.dtype == dtype for one in found)
    assert_same(found, exact, relative)


@pytest.mark.parametrize("border", MODES)
def test_first_and_second_derivatives_are_exact(border):
    query, key, _ = make(2, 3, 3, 2, 3, 2)
    arguments = (query.requires_grad_(), key.requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: local_affinity(a, b, 3, border=border), arguments, fast_mode=True)
    query, key, _ = make(1, 2, 2, 3, 3, 2)
    arguments = (query.requires_grad_(), key.requires_grad_())
    assert torch.autograd.gradgradcheck(lambda a, b: local_affinity(a, b, 3, border=border), arguments, fast_mode=True)


@pytest.mark.parametrize("border", ["reflection", "replication"])
def test_derivatives_of_a_continued_reassembly_are_exact(border):
    query, key, grad = make(1, 2, 3, 4, 5, 1)
    arguments = (key.requires_grad_(), grad.requires_grad_())
    form = lambda x, weights: reassemble(x, weights, 5, scale=1, border=border)  # noqa: E731
    assert form(*arguments).shape == query.shape
    assert torch.autograd.gradcheck(form, arguments, fast_mode=True)
    assert torch.autograd.gradgradcheck(form, arguments, fast_mode=True)


def test_queries_that_are_the_keys_have_one_gradient():
    key, weight = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True), torch.randn(1, 9, 3, 4).double()
    plain = torch.autograd.grad(local_affinity(key, key, 3, scale=1), key, weight)
    again = torch.autograd.grad(local_affinity(key, key, 3, scale=1), key, weight, create_graph=True)
    assert_same(again, plain, 1e-12)
    assert torch.autograd.gradgradcheck(lambda one: local_affinity(one, one, 3, scale=1), key)


def test_no_window_of_keys_is_copied_out():
    query, key, grad = make(1, 32, 120, 120, 5, 2, torch.float32)
    logits = 4 * grad.numel()
    with torch.inference_mode():
        assert peak_bytes(lambda: local_affinity(query, key, 5)) <= 2 * logits
    query, key = query.requires_grad_(), key.requires_grad_()
    # Both gradients together are half as large again as the logits.
    assert peak_bytes(lambda: torch.autograd.grad(local_affinity(query, key, 5), (query, key), grad)) <= 5 * logits


@pytest.mark.parametrize(
    ("query", "key", "options", "message"),
    [
        ((1, 4, 10, 14), (1, 4, 5, 7), {"kernel": 2}, "must be odd, not 2"),
        ((1, 4, 10, 14), (1, 4, 5, 7), {"kernel": 3, "scale": 3}, "expected torch.float32 of shape (1, 4, 15, 21)"),
        ((1, 5, 10, 14), (1, 4, 5, 7), {"kernel": 3}, "expected torch.float32 of shape (1, 4, 10, 14)"),
        ((1, 4, 4, 14), (1, 4, 2, 7), {"kernel": 5, "border": "reflection"}, "2 x 7 pixels are too few to reflect 2"),
        ((1, 4, 4, 14), (1, 4, 2, 7), {"kernel": 5, "border": "mirror"}, "no border 'mirror'"),
    ],
)
def test_what_does_not_fit_is_refused(query, key, options, message):
    with pytest.raises(Unsupported) as refusal:
        local_affinity(torch.zeros(query), torch.zeros(key), **options)
    assert message in str(refusal.value)
