"""A few numbers that stand for what an operator computes, the same on every CPU but for rounding.

A hash of the output would be another one on every CPU: vector units of other widths add in another order, and of
values that are rounded first some lie where the last bit decides. So a signature is kept as numbers, and compared
within a tolerance: the mean, the root mean square ("rms"), and three sums of all elements, each times a cosine of its
place, over √n. Such a wave has no period that a tensor's shape could share, so that elements that changed places show
as much as elements that changed. A difference spread over the elements moves a wave by about the difference's own rms.

The weights are the initial ones with noise added: many operators begin with projections that are zero and so compute
plain interpolation, where a fault in what is projected would not show.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from upsampler_bench.workloads.workload import Workload

NOISE = 0.05
DIGITS = 6
# Irrational turns an element.
TURNS = {"wave_1": (math.sqrt(5) - 1) / 2, "wave_2": math.sqrt(2) - 1, "wave_3": math.sqrt(3) - 1}
Signature = dict[str, float]


def signatures(forward: Workload, training: Workload, seed: int) -> tuple[Signature, Signature] | str:
    """Signatures of the output and of the gradients, or what is wrong with them.

    Args:
        forward: for inference.
        training: the same operator in training mode; its gradients of inputs and parameters, end to end.
        seed: of the noise, and of the output's gradient.
    """
    for one in (forward, training):
        _stir(one.module, torch.Generator().manual_seed(seed))
    out = signature([forward.forward()])
    if out is None:
        return "wrong output: not finite, with weights other than the initial ones"
    gradient = signature(_gradients(training, torch.Generator().manual_seed(seed)))
    return "wrong gradient: not finite" if gradient is None else (out, gradient)


def signature(tensors: Iterable[Tensor]) -> Signature | None:
    """The signature of these tensors' elements, end to end; None where one is not finite."""
    values = torch.cat([one.detach().double().flatten() for one in tensors])
    if not bool(values.isfinite().all()):
        return None
    places = torch.arange(len(values), dtype=torch.float64)
    waves = {name: torch.cos(places * turn % 1.0 * math.tau) for name, turn in TURNS.items()}
    parts = {"mean": values.mean(), "rms": values.square().mean().sqrt()}
    parts |= {name: (values @ wave) / math.sqrt(len(values)) for name, wave in waves.items()}
    return {name: float(f"{float(value):.{DIGITS}g}") for name, value in parts.items()}


def _stir(module: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for one in module.parameters():
            one.add_(torch.randn(one.shape, generator=generator), alpha=NOISE)


def _gradients(training: Workload, generator: torch.Generator) -> list[Tensor]:
    training.drop_gradients()
    out: Tensor = training.call(*training.inputs)
    out.backward(torch.randn(out.shape, generator=generator))
    learnt = (*training.inputs, *training.module.parameters())
    return [one.grad for one in learnt if one.grad is not None]
