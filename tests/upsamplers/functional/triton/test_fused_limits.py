"""What Triton operators refuse, and how they work with the rest of torch: strides, weights, fake tensors, counters."""

import os
import subprocess
import sys

import pytest
import torch
from triton_pairs import (
    DEVICE,
    EVERY,
    ON_GPU,
    PROJECTING,
    channels_of,
    close,
    features,
    marks,
    pair,
    unwritten_shows,
)

import upsamplers
from upsampler_bench.device.tensor_memory import LiveStorages
from upsamplers.errors import Unsupported

pytest.importorskip("triton")
pytestmark = [*marks, unwritten_shows, pytest.mark.slow]


@pytest.mark.parametrize("name", EVERY)
def test_strided_inputs_give_the_reference_output(name):
    up, reference = pair(name, channels_of(name))
    inputs = features(up, 2, 4, 12)
    strided = [one.detach()[..., ::2] for one in inputs]
    assert not strided[0].is_contiguous()
    expected = reference(*(one.double() for one in strided))
    close({"output": up(*strided)}, {"output": expected}, 2e-4)


@pytest.mark.parametrize("name", EVERY)
def test_float64_is_refused_with_the_operators_name(name):
    up, _ = pair(name, channels_of(name))
    inputs = [one.detach().double() for one in features(up, 1, 4, 4)]
    with pytest.raises(Unsupported, match=r"takes float32, float16, bfloat16, not torch\.float64"):
        up.double()(*inputs)


def test_a_window_too_large_is_refused():
    up, _ = pair("carafe-triton", 8, up_kernel=13)
    with pytest.raises(Unsupported, match="takes windows up to 11 x 11, not 13 x 13; 'carafe' has the same weights"):
        up(torch.zeros(1, 8, 4, 4, device=DEVICE))


def test_a_scale_too_large_for_its_window_is_refused():
    up, _ = pair("carafe-triton", 8, up_kernel=7, scale=8)
    with pytest.raises(Unsupported, match="up to k² · s² = 2048"):
        up(torch.zeros(1, 8, 2, 2, device=DEVICE))


def test_more_images_than_a_grid_has_are_refused():
    up = upsamplers.create("bilinear-triton", 1)
    with pytest.raises(Unsupported, match=r"65536 images .* take up to 65535"):
        up(torch.zeros(65536, 1, 1, 1, device=DEVICE))


def test_on_a_cpu_without_the_interpreter_the_message_asks_for_cuda():
    code = (
        "import torch, upsamplers\n"
        "up = upsamplers.create('dysample-triton', 8)\n"
        "try: up(torch.zeros(1, 8, 4, 4))\n"
        "except upsamplers.errors.Unsupported as problem: print(problem)"
    )
    bare = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True)
    assert "runs on CUDA, not on cpu; 'dysample' has the same weights" in done.stdout


@pytest.mark.parametrize("name", EVERY)
def test_weights_are_named_as_the_references(name):
    up, reference = pair(name, channels_of(name))
    assert list(up.state_dict()) == list(reference.state_dict())


@pytest.mark.parametrize("name", ["carafe-triton", "dysample+-triton", "sapa-b-triton", "bilinear-triton"])
def test_fake_tensors_know_the_shapes(name):
    from torch._subclasses.fake_tensor import FakeTensorMode

    # Made of real tensors, weights and inputs are on one fake device, with its index.
    up, mode = upsamplers.create(name, 32).to(DEVICE), FakeTensorMode()
    weights = {key: mode.from_tensor(tensor) for key, tensor in up.state_dict(keep_vars=True).items()}
    inputs = [mode.from_tensor(tensor) for tensor in features(up, 2, 5, 7)]
    with mode:
        assert torch.func.functional_call(up, weights, tuple(inputs)).shape == (2, 32, 10, 14)


@pytest.mark.parametrize("name", ["carafe-triton", "dysample-triton", "sapa-b-triton", "bilinear-triton"])
def test_the_flop_counter_sees_them(name):
    from torch.utils.flop_counter import FlopCounterMode

    up, _ = pair(name, 32)
    inputs = features(up, 1, 4, 4)
    with FlopCounterMode(display=False) as counted:
        up(*inputs)
    own = [int(value) for op, value in counted.get_flop_counts()["Global"].items() if "upsamplers" in str(op)]
    per_element = {"carafe-triton": 25, "sapa-b-triton": 2 * 25}.get(name, 4)
    assert own == [2 * per_element * 32 * 8 * 8]


# Channels at x's size that a forward has in memory next to its output: projections, logits, queries and keys.
HELD = {"bilinear": 0, "dysample": 32, "dysample+": 64, "dysample-s": 64, "dysample-s+": 128}
HELD |= {"carafe": 100, "a2u": 36, "fade": 125, "sapa-b": 160}


@pytest.mark.skipif(ON_GPU, reason="the allocator of a GPU counts for itself")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_a_forward_allocates_its_output_and_its_logits_and_no_more(name, dtype):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(), torch.inference_mode():
        torch.set_default_dtype(dtype)
        try:
            up = upsamplers.create(name, 256)
        finally:
            torch.set_default_dtype(torch.float32)
        inputs = [torch.empty(1, 256, 120, 120, dtype=dtype)]
        inputs += [torch.empty(1, 256, 240, 240, dtype=dtype)] * up.needs_guide
        with LiveStorages() as live:
            out = up(*inputs)
    held = 0 if name in PROJECTING else HELD[upsamplers.get(name).reference] * 120 * 120 * dtype.itemsize
    output = out.numel() * dtype.itemsize
    assert output + held <= live.peak <= 1.002 * (output + held)


@pytest.mark.parametrize("name", [name for name in EVERY if name.startswith("dysample")])
def test_a_refusal_names_the_operator_that_has_the_same_weights(name):
    up, _ = pair(name, 32)
    with torch.inference_mode(), pytest.raises(Unsupported) as refused:
        up.double()(torch.zeros(1, 32, 4, 4, device=DEVICE, dtype=torch.float64))
    assert str(refused.value).startswith(f"{name} takes ")
    assert f"{upsamplers.get(name).reference!r} has the same weights" in str(refused.value)
