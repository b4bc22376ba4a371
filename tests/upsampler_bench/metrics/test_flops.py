"""Multiply-adds equal the closed forms, worked out by hand, as integers."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import upsamplers
from upsampler_bench.metrics import _conventions as conventions
from upsampler_bench.metrics import flops
from upsampler_bench.runner import operators

C = 256
FADE = C * 64 * 5 + 64 * 25 * 9 * 5 + 25 * C * 4
# Projections, affinity, temperature, spatial weights, the share of the correction, reassembly.
JBU = 4 * ((C + 32) * 32 + (C + 49 + 49) * 49 + 49 * 32 + 49 + 49 + 49 + 49 * C)
# Compressor, kernel space, offsets, reassembly; without the samples of the kernel space.
DLU = C * 64 + 64 * 25 * 9 + 64 * 8 * 9 + 25 * C * 4
# Projections to 64 channels, offsets (both groups), products with keys and with values; without what is sampled.
LDA = 2 * C * 64 + 4 * (64 * 9 + 64 * 18 * 9 + 9 * 64 + 9 * C)
# Multiplications for an input pixel at C = 256, s = 2: (mac, paper).
CLOSED_FORMS = {
    "nearest": (0, 0),
    "bilinear": (4 * 4 * C, 0),
    "bicubic": (16 * 4 * C, 0),
    "deconv": (C * C * 9, C * C * 9 * 4),
    "pixel-shuffle": (C * 4 * C * 9, C * 4 * C * 9),
    "carafe": (C * 64 + 64 * 100 * 9 + 25 * C * 4, C * 64 + 64 * 100 * 9 + 25 * C * 4),
    "dysample": (C * 32 + 4 * 4 * C, C * 32 + 11 * 4 * C),
    "dysample+": (2 * C * 32 + 4 * 4 * C, 2 * C * 32 + 11 * 4 * C),
    "dysample-s": (64 * 16 * 4 + 4 * 4 * C, 64 * 16 * 4 + 11 * 4 * C),
    "dysample-s+": (2 * 64 * 16 * 4 + 4 * 4 * C, 2 * 64 * 16 * 4 + 11 * 4 * C),
    "dysample-naive": (C * 8 + 4 * 4 * C, C * 8 + 11 * 4 * C),
    "max-unpool": (0, 0),
    "indexnet": 2 * (C * 2 * C * 16 + 2 * C * 4 + 4 * C,),
    "a2u": 2 * (2 * 36 * C + C + 36 + 9 * C * 4,),
    "fade": 2 * (FADE,),
    "fade-gated": (FADE + C + 4 * C, FADE + C + 2 * 4 * C),
    "fade-lite": 2 * (C * 25 * 5 + 25 * 9 * 5 + 25 * C * 4,),
    "sapa-b": 2 * (C * 32 * 5 + 25 * 32 * 4 + 25 * C * 4,),
    "sierra": 2 * (9 + 9 * 4 + 9 * C * 4,),
    "jbu": (JBU + 16 * 4 * C, JBU),
    "dlu": (DLU + 4 * 25 * 4, DLU + 11 * 25 * 4),
    "lda-aqu": (LDA + 4 * (4 + 4 * 9) * 64 + 4 * 4 * 9 * C, LDA + 4 * 11 * 9 * 64 + 4 * 11 * 9 * C),
}
# What is done once an image, whatever its size.
AN_IMAGE = {"a2u": 2 * 36 * C + C * 36}
# And once a call: the grid that distances are measured on.
A_CALL = {"jbu": 7}
# Of these, what convolutions and matrix products do.
PRODUCTS = {
    "deconv": C * C * 9,
    "pixel-shuffle": C * 4 * C * 9,
    "dysample": C * 32,
    "dysample+": 2 * C * 32,
    "dysample-s": 64 * 16 * 4,
    "dysample-s+": 2 * 64 * 16 * 4,
    "dysample-naive": C * 8,
}


def _module(name):
    return upsamplers.create(name, C).eval()


@pytest.mark.parametrize("name", operators.names("cpu"))
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 8, 6), (2, 5, 7)])
def test_both_conventions_equal_the_closed_form(name, batch, height, width):
    module, pixels = _module(name), batch * height * width
    given = module.example_inputs(batch, height, width)
    for form, handles in zip(CLOSED_FORMS[name], (conventions.MAC, conventions.PAPER), strict=True):
        expected = form * pixels + AN_IMAGE.get(name, 0) * batch + A_CALL.get(name, 0)
        assert flops.count(module, given, handles) == (expected, ())


@pytest.mark.parametrize("name", PRODUCTS)
def test_torchs_own_counter_agrees_on_products(name):
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        _module(name)(torch.randn(1, C, 8, 6))
    assert counter.get_total_flops() / 2 == PRODUCTS[name] * 48


def test_torchs_own_counter_agrees_on_the_convolutions_of_carafe():
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        _module("carafe")(torch.randn(1, C, 8, 6))
    convolutions = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    assert convolutions / 2 == (C * 64 + 64 * 100 * 9) * 48


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


def test_a_broadcast_product_counts_every_element():
    count, _ = flops.count(Products(torch.matmul), (torch.randn(2, 3, 4, 5), torch.randn(5, 6)), conventions.MAC)
    assert count == 2 * 3 * 4 * 5 * 6


def test_attention_is_counted():
    attend = Products(lambda a, b: torch.nn.functional.scaled_dot_product_attention(a, b, b))
    count, unknown = flops.count(attend, (torch.randn(1, 2, 3, 8), torch.randn(1, 2, 5, 8)), conventions.MAC)
    assert (count, unknown) == (2 * 3 * 5 * 8 * 2, ())


def test_an_operation_that_nobody_knows_is_named():
    count, unknown = flops.count(Products(lambda a, b: torch.fft.rfft(a).real), (torch.randn(4, 4),) * 2, {})
    assert count == 0
    assert "aten::fft_rfft" in unknown


def test_products_that_are_also_values_count_though_they_place_samples():
    def both(a, b):
        scaled = a * 2.0
        return torch.nn.functional.grid_sample(b, scaled, align_corners=False).sum() + scaled.sum()

    grid, feature = torch.rand(1, 4, 4, 2), torch.randn(1, 3, 4, 4)
    count, _ = flops.count(Products(both), (grid, feature), conventions.MAC)
    assert count == 32 + 4 * 48
