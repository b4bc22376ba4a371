"""The memory traffic of a forward: every rule by hand, and operators whose operations can be counted by hand."""

import os

import pytest
import torch
import torch.nn.functional as F
from fake_device import FakeDevice
from sample_workload import built

import upsamplers
from upsampler_bench.case import Case
from upsampler_bench.metrics.traffic import Traffic, measure

X = torch.zeros(4, 6)
SIZE = X.numel() * 4
ROW = torch.zeros(6)


@pytest.mark.parametrize(
    ("name", "call", "expected"),
    [
        ("a result is written, its operands are read", lambda: X + ROW, 2 * SIZE + 24),
        ("the same tensor twice is read once", lambda: X * X, 2 * SIZE),
        ("views move nothing", lambda: X.t().view(6, 4)[2:].unsqueeze(0).expand(3, 4, 4).detach(), 0),
        ("uninitialised memory moves nothing", lambda: torch.empty_like(X), 0),
        ("an expanded tensor is read once", lambda: ROW.expand(4, 6) + 1, 24 + SIZE),
        ("of a slice only its elements count", lambda: X[:, 1] + 1, 2 * 16),
        ("in place: read and written", lambda: X.add_(1), 2 * SIZE),
        ("a copy does not read what it writes", lambda: X.copy_(ROW), SIZE + 24),
        ("a fill only writes", lambda: X.zero_(), SIZE),
        ("an out= tensor is not read", lambda: torch.add(X, X, out=torch.empty(4, 6)), 2 * SIZE),
        ("a reshape that copies is a copy", lambda: X.t().reshape(24), 2 * SIZE),
        ("a composite operation counts by its parts", lambda: F.pixel_shuffle(X.view(1, 4, 2, 3), 2), 2 * SIZE),
        ("dtypes differ in size", lambda: X.to(torch.bfloat16), SIZE + SIZE // 2),
        ("several results", lambda: X.max(0), SIZE + 24 + 48),
    ],
)
def test_an_operation_reads_each_of_its_tensors_and_writes_its_results(name, call, expected):
    with torch.inference_mode(), Traffic() as traffic:
        call()
    assert traffic.moved == expected


def read(name, **options):
    case = Case(name, "inference", 1, 64, 6, 5, **options)
    moved, minimum = measure(built(case), FakeDevice())
    return moved.samples[0], minimum.samples[0]


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "deconv"])
def test_a_single_operation_moves_the_minimum(name):
    moved, minimum = read(name)
    assert moved == minimum


def test_a_chain_of_operations_also_moves_intermediate_results():
    moved, minimum = read("pixel-shuffle")
    assert moved - minimum == 2 * 64 * 4 * 6 * 5 * 4  # the convolution's result, written and read again
    moved, minimum = read("dysample", dtype="bfloat16")
    assert moved > 1.2 * minimum


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="a GPU runs what the interpreter runs here")
def test_a_triton_form_moves_only_its_projections_beside_the_minimum():
    pytest.importorskip("triton")
    pixels = 6 * 5
    x = torch.zeros(1, 64, 6, 5)
    names = ("dysample", "dysample-s")

    def moved(up):
        with torch.inference_mode(), Traffic() as counted:
            up(x)
        return counted.moved - 4 * (5 * x.numel() + sum(one.numel() for one in up.parameters()))

    # The projection writes 2Zs² offsets, which the kernel reads; it reads x too. Then where to begin.
    for name, offsets in zip(names, (32, 64), strict=True):
        up = upsamplers.create(name, 64, backend="triton")
        assert moved(up) == 4 * (2 * offsets * pixels + x.numel() + offsets)
