"""Fused twins and their references with the same weights, and how far they may be apart."""

import copy
import os
from importlib.metadata import version
from importlib.util import find_spec

import numpy
import pytest
import torch

import upsamplers

VERSION = tuple(map(int, version("triton").split(".")[:2])) if find_spec("triton") else (0, 0)
ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
EVERY = tuple(name for name in upsamplers.names() if upsamplers.get(name).reference)
# Without gradients these project inside their kernel.
PROJECTING = ("dysample-s-triton", "dysample-s+-triton")

if ON_GPU:  # every block is run, and none is timed: there are hundreds of kinds of input here
    from triton.runtime import driver

    driver.active.get_benchmarker = lambda: lambda call, quantiles=None: (call(), [1.0, 1.0, 1.0])[1]

# Interpreters before 3.7 turn arrays of one element into numbers, which numpy refuses from 2.4 on.
IS_BROKEN = not ON_GPU and VERSION < (3, 7) and tuple(map(int, numpy.__version__.split(".")[:2])) >= (2, 4)
marks = [
    pytest.mark.skipif(IS_BROKEN, reason="this triton's interpreter does not work with this numpy"),
    pytest.mark.skipif(
        not ON_GPU and os.environ.get("TRITON_INTERPRET") != "1", reason="needs an NVIDIA GPU, or TRITON_INTERPRET=1"
    ),
    pytest.mark.usefixtures("float32_is_float32"),
    *([pytest.mark.cuda] if ON_GPU else []),
]
unwritten_shows = pytest.mark.usefixtures("unwritten_is_nan")


def pair(name, channels, seed=0, dtype=torch.float32, **options):
    """A twin, and its reference in float64, with the same lively weights."""
    torch.manual_seed(seed)
    twin = upsamplers.create(name, channels, **options)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.normal_(std=0.5)
    reference = upsamplers.create(upsamplers.get(name).reference, channels, **options)
    twin.to(dtype)
    reference.load_state_dict(copy.deepcopy(twin.state_dict()))
    return twin.to(DEVICE), reference.to(DEVICE, torch.float64)


def features(up, batch, height, width, dtype=torch.float32, layout=torch.contiguous_format, seed=1):
    torch.manual_seed(seed)
    shapes = [(batch, up.channels, height, width)]
    if up.needs_guide:
        shapes.append((batch, up.guide_channels, up.scale * height, up.scale * width))
    return [torch.randn(shape).to(DEVICE, dtype).contiguous(memory_format=layout).requires_grad_() for shape in shapes]


def channels_of(name):
    return 32 if name.startswith(("a2u", "sapa")) else 16


def results(up, inputs, cotangent):
    """The output, and the gradients of all inputs and parameters."""
    out = up(*inputs)
    wanted = [*inputs, *up.parameters()]
    found = torch.autograd.grad(out, wanted, cotangent.to(out.dtype), allow_unused=True)
    names = [*(f"input {place}" for place in range(len(inputs))), *(name for name, _ in up.named_parameters())]
    return {"output": out, **dict(zip(names, found, strict=True))}


def close(found, expected, tolerance):
    for name, value in expected.items():
        got = found[name]
        assert (got is None) == (value is None), name
        if value is not None:
            assert got.isfinite().all(), f"{name} has elements that nobody wrote"
            scale = value.abs().amax().clamp(min=1e-3)
            worst = ((got.double() - value).abs().amax() / scale).item()
            assert worst < tolerance, f"{name}: off by {worst:.2g} of its largest"


def check(name, channels, height, width, batch=2, dtype=torch.float32, layout=torch.contiguous_format, **options):
    twin, reference = pair(name, channels, dtype=dtype, **options)
    inputs = features(twin, batch, height, width, dtype, layout)
    torch.manual_seed(2)
    cotangent = torch.randn(batch, channels, twin.scale * height, twin.scale * width, device=DEVICE)
    cotangent = cotangent.to(dtype).double()
    expected = results(reference, [one.detach().double().requires_grad_() for one in inputs], cotangent)
    found = results(twin, inputs, cotangent)
    assert found["output"].dtype == dtype
    # Of a GPU: convolutions there may be Winograd's, which large logits make more of.
    close(found, expected, {torch.float32: 1e-3 if ON_GPU else 2e-4, torch.float16: 3e-2, torch.bfloat16: 0.2}[dtype])
    return found, inputs
