"""A Triton form allocates its output and what its convolutions hand to the kernels, and no more."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from triton_pairs import EVERY, ON_GPU, marks

import upsamplers
from upsampler_bench.device.tensor_memory import LiveStorages

pytest.importorskip("triton")
pytestmark = [*marks, pytest.mark.skipif(ON_GPU, reason="the allocator of a GPU counts for itself")]
SIDE = 120
# Channels at x's size that a forward has in memory besides its output, at 256 channels, times two.
# What their layers hold beside the kernels decides.
OTHERS = ("freqfusion", "jbu", "jbu-stack", "lda-aqu", "naf", "resfu", "sapa-d")
KEPT = {
    "bilinear": 0,
    "max-unpool": 0,
    "dysample": 32,  # two offsets of 4 groups' 4 output pixels
    "dysample+": 64,
    "dysample-s": 64,
    "dysample-s+": 128,
    "dysample-naive": 8,
    "indexnet": 4,
    "sierra": 36,
    "carafe": 100,  # 25 weights of 4 output pixels
    "sapa-b": 100,
    "dlu": 100,
    "a2u": 72,  # logits and weights, of 9
    "fade": 225,  # logits of both features, and weights
    "fade-lite": 225,
    "fade-gated": 229,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", KEPT)
def test_a_forward_allocates_its_output_and_its_weights_and_no_more(name, dtype):
    with FakeTensorMode(), torch.inference_mode():
        torch.set_default_dtype(dtype)
        try:
            up = upsamplers.create(name, 256, backend="triton").eval()
        finally:
            torch.set_default_dtype(torch.float32)
        inputs = up.example_inputs(1, SIDE, SIDE, dtype=dtype)
        up(*inputs)  # what only the first call keeps
        with LiveStorages() as live:
            out = up(*inputs)
    kept = KEPT[name] * SIDE**2 * dtype.itemsize
    if name == "dlu":
        kept = KEPT[name] * SIDE**2 * 4  # its weights are of float32
    expected = out.numel() * dtype.itemsize + kept
    assert expected <= live.peak <= 1.002 * expected


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_take_no_more_than_on_torch(name):
    peaks = []
    for backend in ("triton", "torch"):
        with FakeTensorMode(), torch.inference_mode():
            up = upsamplers.create(name, 64, backend=backend).eval()
            inputs = up.example_inputs(1, 40, 40)
            with LiveStorages() as live:
                up(*inputs)
        peaks.append(live.peak)
    assert peaks[0] <= peaks[1]


def test_every_operator_has_a_limit():
    assert {*KEPT, *OTHERS} == set(EVERY)
