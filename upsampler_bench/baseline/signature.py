"""A signature: five numbers that stand for what an operator computes, the same on every CPU up to rounding.

A hash of the output would differ between CPUs: vector units of other widths add in another order. So a signature is
stored as numbers and compared within a tolerance: the mean, the root mean square ("rms"), and three sums over all
elements, each element times a cosine of its index, divided by √n. The period of such a wave is irrational, so no shape
shares it, and elements that swapped places show as clearly as elements that changed. A difference spread over the
elements moves a wave by about the difference's own rms.

The weights are the initial ones plus noise: many operators begin with projections that are zero and so compute plain
interpolation, which would hide a fault in what is projected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from upsampler_bench.workloads.workload import Workload

NOISE = 0.05
DIGITS = 6
# Turns of a wave per element, irrational.
TURNS = {"wave_1": (math.sqrt(5) - 1) / 2, "wave_2": math.sqrt(2) - 1, "wave_3": math.sqrt(3) - 1}
Signature = dict[str, float]


def signatures(forward: Workload, training: Workload, seed: int) -> tuple[Signature, Signature] | str:
    """Signatures of the output and of the gradients, or what is wrong with them.

    Args:
        forward: for inference.
        training: the same operator in training mode; its gradients of inputs and parameters, end to end.
        seed: of the noise, and of the output's gradient.
    """
    for module in (forward.module, training.module):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=NOISE)
    output = signature([forward.forward()])
    if output is None:
        return "wrong output: not finite, with weights other than the initial ones"
    training.drop_gradients()
    out: Tensor = training.call(*training.inputs)
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(seed)))
    learnt = (*training.inputs, *training.module.parameters())
    gradient = signature(tensor.grad for tensor in learnt if tensor.grad is not None)
    return "wrong gradient: not finite" if gradient is None else (output, gradient)


def signature(tensors: Iterable[Tensor]) -> Signature | None:
    """The signature of these tensors' elements, end to end; None if one is not finite."""
    values = torch.cat([tensor.detach().double().flatten() for tensor in tensors])
    if not bool(values.isfinite().all()):
        return None
    index = torch.arange(len(values), dtype=torch.float64)
    parts = {"mean": values.mean(), "rms": values.square().mean().sqrt()}
    for name, turns in TURNS.items():
        wave = torch.cos(index * turns % 1.0 * math.tau)
        parts[name] = (values @ wave) / math.sqrt(len(values))
    return {name: float(f"{float(value):.{DIGITS}g}") for name, value in parts.items()}
