"""Multiply-adds of products; tests/test_docs.py checks those of operators."""

import math

import pytest
import torch
from torch import nn

from upsampler_bench.metrics import _conventions as conventions
from upsampler_bench.metrics import flops


class Products(nn.Module):
    """The same product of two matrices, written in several ways."""

    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, a, b):
        return self.way(a, b)


@pytest.mark.parametrize(
    "way",
    [
        lambda a, b: torch.einsum("bij,bjk->bik", a, b),
        torch.bmm,
        torch.matmul,
        lambda a, b: (a.unsqueeze(3) * b.unsqueeze(1)).sum(2),
        lambda a, b: torch.baddbmm(torch.zeros(3, 4, 6), a, b),
    ],
    ids=["einsum", "bmm", "matmul", "multiply-and-sum", "baddbmm"],
)
def test_a_count_does_not_depend_on_how_a_product_is_written(way):
    count, unknown = flops.count(Products(way), (torch.randn(3, 4, 5), torch.randn(3, 5, 6)), conventions.MAC)
    assert (count, unknown) == (3 * 4 * 5 * 6, ())


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 5), (4, 5), (5,)])
def test_an_einsum_with_an_ellipsis_counts_its_indices(shape):
    way = Products(lambda a, b: torch.einsum("...c,cd->...d", a, b))
    count, unknown = flops.count(way, (torch.randn(shape), torch.randn(5, 6)), conventions.MAC)
    assert (count, unknown) == (math.prod(shape) * 6, ())


def test_a_broadcast_product_counts_every_element():
    count, _ = flops.count(Products(torch.matmul), (torch.randn(2, 3, 4, 5), torch.randn(5, 6)), conventions.MAC)
    assert count == 2 * 3 * 4 * 5 * 6


def test_attention_is_counted():
    attend = Products(lambda a, b: torch.nn.functional.scaled_dot_product_attention(a, b, b))
    count, unknown = flops.count(attend, (torch.randn(1, 2, 3, 8), torch.randn(1, 2, 5, 8)), conventions.MAC)
    assert (count, unknown) == (2 * 3 * 5 * 8 * 2, ())


def test_an_operation_without_a_handle_is_named():
    count, unknown = flops.count(Products(lambda a, b: torch.fft.rfft(a).real), (torch.randn(4, 4),) * 2, {})
    assert count == 0
    assert "aten::fft_rfft" in unknown


def test_products_that_are_also_values_count_even_if_they_position_samples():
    def both(a, b):
        scaled = a * 2.0
        return torch.nn.functional.grid_sample(b, scaled, align_corners=False).sum() + scaled.sum()

    grid, feature = torch.rand(1, 4, 4, 2), torch.randn(1, 3, 4, 4)
    count, _ = flops.count(Products(both), (grid, feature), conventions.MAC)
    assert count == 32 + 4 * 48
