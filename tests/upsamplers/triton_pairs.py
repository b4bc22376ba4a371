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

    from upsamplers.functional._triton import launch

    launch.KEPT_ON_DISK = False
    driver.active.get_benchmarker = lambda: lambda call, quantiles=None: (call(), [1.0, 1.0, 1.0])[1]
elif VERSION > (0, 0):
    from quick_interpreter import hasten

    hasten()

# Interpreters before 3.7 turn arrays of one element into numbers, which numpy refuses from 2.4 on.
IS_BROKEN = not ON_GPU and VERSION < (3, 7) and tuple(map(int, numpy.__version__.split(".")[:2])) >= (2, 4)
marks = [
    pytest.mark.slow,
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
            if parameter.dim():  # a temperature or a width as random as weights may leave a window one pixel
                parameter.normal_(std=0.5)
    reference = upsamplers.create(name, channels, backend="torch", **options)
    up.to(dtype)
    reference.load_state_dict(copy.deepcopy(up.state_dict()))
    for module in (*up.modules(), *reference.modules()):
        if isinstance(module, torch.nn.Dropout2d):
            module.p = 0.0
    return up.to(DEVICE), reference.to(DEVICE, torch.float64)


def small(name, scale=2):
    """The channels and options of an operator with which the interpreter is quick."""
    if name == "a2u":
        return 4, {"guide_channels": 32}
    if name in ("jbu", "jbu-stack"):
        return 4, {"guide_channels": 3, "radius": 1, "key_channels": 4}
    if name == "lda-aqu":
        return 16, {"kernel": 1}
    if name.startswith("dysample"):
        channels = 2 * scale**2 if name.startswith("dysample-s") else 4
        return channels, {} if name == "dysample-naive" else {"groups": 2}
    if name == "naf":
        return 4, {"embedding_channels": 16, "heads": 2, "up_kernel": 1}
    if name == "sapa-d":
        return 4, {"groups": 2, "points": 3, "embedding_channels": 3}
    if name == "sapa-b":
        return 32, {"up_kernel": 3}
    return 4, {"up_kernel": 3} if name.startswith(("carafe", "fade", "dlu")) else {}


def features(up, batch, height, width, dtype=torch.float32, layout=torch.contiguous_format, seed=1):
    """What an operator takes; what is no index wants a gradient."""
    torch.manual_seed(seed)
    values = [torch.randn(batch, up.channels, height, width)]
    if up.needs_guide:
        feature = torch.randn(batch, up.guide_channels, up.scale * height, up.scale * width)
        values.append(up.make_guide(feature))
    return [leaf(value.to(DEVICE).contiguous(memory_format=layout), dtype) for value in values]


def leaf(tensor, dtype=torch.float64):
    """A copy in another dtype that wants a gradient; indices as they are."""
    if not tensor.is_floating_point():
        return tensor
    return tensor.detach().to(dtype).requires_grad_()


def results(up, inputs, cotangent):
    """The output, and the gradients of all inputs and parameters."""
    out = up(*inputs)
    leaves = {f"input {index}": tensor for index, tensor in enumerate(inputs)} | dict(up.named_parameters())
    leaves = {name: tensor for name, tensor in leaves.items() if tensor.requires_grad}
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


def agree(function, *tensors, tolerance=2e-5, second=False):
    """A function on Triton has the values and gradients, also the second ones, that it has on torch in float64."""
    results = []
    for backend, dtype in (("triton", None), ("torch", torch.float64)):
        torch.manual_seed(0)
        leaves = [tensor.detach().to(dtype or tensor.dtype).requires_grad_() for tensor in tensors]
        out = function(*leaves, backend=backend)
        grad = torch.randn(out.shape, device=DEVICE).to(dtype or out.dtype)
        gradients = torch.autograd.grad(out, leaves, grad, create_graph=second)
        again = torch.autograd.grad(sum(one.square().sum() for one in gradients), leaves) if second else ()
        results.append(dict(enumerate((out, *gradients, *again))))
    close(*results, tolerance)
    return results[0]


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
    """An operator on Triton has the values and gradients that it has on torch in float64; returns its results, inputs.

    In half precision gradients of single numbers are not compared: sums over all pixels whose terms nearly cancel; nor
    are those of DLU, whose points rounding moves into other pixels, where they have other gradients.
    """
    up, reference = pair(name, channels, dtype=dtype, **options)
    inputs = features(up, batch, height, width, dtype, layout)
    doubled = [leaf(tensor) for tensor in inputs]
    output = reference(*doubled)
    torch.manual_seed(2)
    cotangent = torch.randn(output.shape).to(DEVICE, dtype).double()
    if dtype != torch.float32 and hasattr(reference, "displacement"):
        follow_points(reference, up, doubled[0])
        cotangent = cotangent * differentiable(reference, doubled[0])
    expected = results(reference, doubled, cotangent) | {"output": output}
    ours = results(up, inputs, cotangent)
    assert ours["output"].dtype == dtype
    if dtype != torch.float32:
        expected = {key: value for key, value in expected.items() if value is not None and value.dim()}
        expected = {"output": output} if name == "dlu" else expected
    # On a GPU convolutions may be Winograd's, whose errors large logits amplify.
    tolerance = {torch.float32: 1e-3 if ON_GPU else 5e-4, torch.float16: 3e-2, torch.bfloat16: 0.2}[dtype]
    close(ours, expected, tolerance)
    return ours, inputs
