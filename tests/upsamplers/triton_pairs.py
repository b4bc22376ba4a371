"""Operators on both backends with the same weights, and how far their results may be apart."""

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
EVERY = tuple(name for name in upsamplers.names() if "triton" in upsamplers.get(name).cls.backends)

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
    """An operator on Triton, and in float64 on torch, with the same weights, large enough to matter."""
    torch.manual_seed(seed)
    up = upsamplers.create(name, channels, backend="triton", **options)
    with torch.no_grad():
        for parameter in up.parameters():
            parameter.normal_(std=0.5)
    reference = upsamplers.create(name, channels, backend="torch", **options)
    up.to(dtype)
    reference.load_state_dict(copy.deepcopy(up.state_dict()))
    return up.to(DEVICE), reference.to(DEVICE, torch.float64)


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
    leaves = {f"input {index}": tensor for index, tensor in enumerate(inputs)} | dict(up.named_parameters())
    gradients = torch.autograd.grad(out, [*leaves.values()], cotangent.to(out.dtype), allow_unused=True)
    return {"output": out, **dict(zip(leaves, gradients, strict=True))}


def close(results, expected, tolerance):
    for name, value in expected.items():
        result = results[name]
        assert (result is None) == (value is None), name
        if value is not None:
            assert result.isfinite().all(), f"{name} has elements that no program wrote"
            # A gradient that is zero, but for rounding, has no size of its own.
            scale = value.abs().amax().clamp(min=1e-3 if value.abs().amax() > 1e-9 else 1)
            worst = ((result.double() - value).abs().amax() / scale).item()
            assert worst < tolerance, f"{name}: off by {worst:.2g} of its largest"


def follow_points(reference, up, x):
    """Makes DySample's reference read at the points of an operator in half precision, in the place of its own.

    A point that rounding moves into the next pixel has another gradient altogether. In a sum over few pixels whose
    terms nearly cancel, as a bias's gradient is, one such term is as large as the sum.
    """
    rounded = up.projections(x.detach().to(up.offset.weight.dtype))
    projections = reference.projections

    def moved(x):  # exactly the rounded values, with the gradients of the projections
        return tuple(
            None if exact is None else value.detach().double() + (exact - exact.detach())
            for value, exact in zip(rounded, projections(x), strict=True)
        )

    reference.projections = moved


def differentiable(reference, x):
    """Zero for outputs read at a pixel's centre, else one: there a point has two gradients, one to each side.

    In bfloat16 many points are: which of the two grid_sample gives depends on how it rounds.
    """
    displacement = torch.nn.functional.pixel_shuffle(reference.displacement(x.detach()), reference.scale)
    distance = (displacement - displacement.round()).abs().unflatten(1, (2, reference.groups)).amin(1)  # (B, Z, sH, sW)
    return (distance > 1e-4).repeat_interleave(reference.channels // reference.groups, dim=1)


def check(name, channels, height, width, batch=2, dtype=torch.float32, layout=torch.contiguous_format, **options):
    up, reference = pair(name, channels, dtype=dtype, **options)
    inputs = features(up, batch, height, width, dtype, layout)
    torch.manual_seed(2)
    cotangent = torch.randn(batch, channels, up.scale * height, up.scale * width, device=DEVICE)
    cotangent = cotangent.to(dtype).double()
    doubled = [tensor.detach().double().requires_grad_() for tensor in inputs]
    output = reference(*doubled)
    if dtype != torch.float32 and hasattr(reference, "displacement"):
        follow_points(reference, up, doubled[0])
        cotangent = cotangent * differentiable(reference, doubled[0])
    expected = results(reference, doubled, cotangent) | {"output": output}
    ours = results(up, inputs, cotangent)
    assert ours["output"].dtype == dtype
    # On a GPU convolutions may be Winograd's, whose errors large logits amplify.
    tolerance = {torch.float32: 1e-3 if ON_GPU else 2e-4, torch.float16: 3e-2, torch.bfloat16: 0.2}[dtype]
    close(ours, expected, tolerance)
    return ours, inputs
