"""How far a backend's values are from those of the torch form in float64, relative to the largest value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from upsampler_bench.case import TORCH, Settings
from upsampler_bench.workloads.workload import Workload, make

# Of the largest gradient of all: what a leaf's error is at least relative to. The exact gradient of a leaf may be zero,
# as of a bias before a softmax, and rounding would then be infinitely far from it.
SMALLEST_SCALE = 1e-3


@dataclass(frozen=True, slots=True)
class OutputDeviation:
    """How far an output is from the float64 output; of a model with several, the one that is farthest.

    Attributes:
        largest: difference of an element, over the largest magnitude.
        rms: root mean square of the differences, over that of the float64 output.
    """

    largest: float
    rms: float


# The check before timing and the metric need the same one.
_outputs: WeakKeyDictionary[nn.Module, OutputDeviation] = WeakKeyDictionary()


def of_output(workload: Workload) -> OutputDeviation:
    """The deviation of one forward's output.

    Raises:
        RuntimeError: out of memory.
    """
    if workload.module not in _outputs:
        exact = _in_float64(workload)
        with torch.inference_mode():
            expected = exact(*map(_exactly, workload.inputs))
        pairs = list(zip(_tensors(workload.forward()), _tensors(expected), strict=True))
        largest = [_largest(ours, theirs) / float(theirs.abs().max().clamp_min(1e-12)) for ours, theirs in pairs]
        rms = [float((ours.double() - theirs).norm() / theirs.norm().clamp_min(1e-12)) for ours, theirs in pairs]
        _outputs[workload.module] = OutputDeviation(_most(largest), _most(rms))
    return _outputs[workload.module]


def _exactly(x: Tensor) -> Tensor:
    """An input in float64; indices stay integers."""
    return x.double() if x.is_floating_point() else x


def _tensors(out: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return out if isinstance(out, tuple) else (out,)


def _most(errors: Sequence[float]) -> float:
    """The largest, or NaN if any is."""
    return float(torch.tensor(errors, dtype=torch.float64).max())


def of_gradients(workload: Workload) -> float:
    """The largest such ratio over the gradients of inputs and parameters, for a random gradient of the output.

    Args:
        workload: of a bare operator in mode "train".

    Raises:
        RuntimeError: out of memory.
    """
    exact = _in_float64(workload)
    inputs = [_exactly(x.detach()).requires_grad_(x.requires_grad) for x in workload.inputs]
    generator = torch.Generator().manual_seed(0)
    with _without_dropout(workload.module, exact):
        out = workload.call(*workload.inputs)
        gradient = torch.randn(out.shape, generator=generator).to(out)
        found = _gradients(out, gradient, [*workload.inputs, *workload.module.parameters()])
        expected = _gradients(exact(*inputs), gradient.double(), [*inputs, *exact.parameters()])
    scales = [float(grad.abs().max()) for grad in expected]
    least = max(SMALLEST_SCALE * max(scales), 1e-12)
    pairs = zip(found, expected, scales, strict=True)
    return _most([_largest(ours, theirs) / max(scale, least) for ours, theirs, scale in pairs])


@contextmanager
def _without_dropout(*modules: nn.Module) -> Iterator[None]:
    """Within, nothing is dropped: two modules would drop different values."""
    layers = [one for module in modules for one in module.modules() if isinstance(one, _DropoutNd) and one.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()


def _in_float64(workload: Workload) -> nn.Module:
    """The torch form in float64 with the workload's weights, in the same mode."""
    exact = make(replace(workload.case, backend=TORCH, dtype="float64"), Settings())
    exact.load_state_dict(workload.module.state_dict())
    return exact.train(workload.module.training)


def _gradients(out: Tensor, gradient: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of these leaves; zeros where the output does not depend on one."""
    learnt = [leaf for leaf in leaves if leaf.requires_grad]
    return list(torch.autograd.grad(out, learnt, gradient, allow_unused=True, materialize_grads=True))


def _largest(value: Tensor, expected: Tensor) -> float:
    return float((value.double() - expected).abs().max())
