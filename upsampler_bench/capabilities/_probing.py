"""What probes share: the operator in another case, its output and gradients, and how close values must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import upsamplers
from upsampler_bench.capabilities import No
from upsampler_bench.case import PROBE, Settings
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.output_check import TOLERANCES
from upsampler_bench.workloads.workload import DTYPES, Workload, build, shared_inputs

SETTINGS = Settings()
# The standard deviation that biases and scales are changed by.
VECTOR_NOISE = 0.1
REASON_LENGTH = 160


def info(name: str, title: str, place: int, description: str) -> MetricInfo:
    """A column of yes and no."""
    return MetricInfo(
        name, title, "bool", PROBE, lower_is_better=False, exact=True, place=place, description=description
    )


def yes(info: MetricInfo, method: str, *notes: str, **facts: float | str) -> tuple[Reading, ...]:
    """The reading of a capability that works."""
    return (Reading(info.name, ((1.0,),), method, notes, facts),)


def variant(workload: Workload, **changes: Any) -> Workload:
    """The operator in another case, in eval mode, with weights as if trained: the same in every variant.

    Args:
        workload: of the operator.
        changes: of its case: the shape, the dtype, the mode "train" for inputs with gradients, ...

    Raises:
        upsamplers.UpsamplerError: the operator refuses that case.
    """
    case = replace(workload.case, **changes)
    built = build(case, SETTINGS, shared_inputs(case, SETTINGS))
    as_if_trained(built.module).eval()
    return built


def as_if_trained(module: nn.Module) -> nn.Module:
    """Adds the same noise to a module's parameters in place: where they start at zero, half of it would go untested."""
    generator = torch.Generator().manual_seed(SETTINGS.seed)
    with torch.no_grad():
        for parameter in module.parameters():
            # Weights get so little that signals do not grow from layer to layer.
            deviation = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else VECTOR_NOISE
            parameter.add_(deviation * torch.randn(parameter.shape, generator=generator).to(parameter))
    return module


def forward(workload: Workload) -> Tensor:
    """The output, without gradients."""
    with torch.no_grad():
        out: Tensor = workload.module(*workload.inputs)
        return out


def outcome(workload: Workload, out: Tensor | None = None, *, parameters: bool = False) -> dict[str, Tensor]:
    """The output, and the gradients of the inputs and, if asked for, of the parameters, for a random gradient of it.

    Args:
        workload: in mode "train".
        out: its output; None: of one forward.
        parameters: whether the gradients of the parameters are included.
    """
    if out is None:
        out = workload.module(*workload.inputs)
    leaves = {f"gradient of {name}": x for name, x in zip(("x", "the guide"), workload.inputs, strict=False)}
    if parameters:
        leaves |= {f"gradient of {name}": parameter for name, parameter in workload.module.named_parameters()}
    leaves = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    drawn = torch.randn(out.shape, generator=torch.Generator().manual_seed(SETTINGS.seed)).to(out)
    gradients = torch.autograd.grad(out, list(leaves.values()), drawn, allow_unused=True)
    reached = {name: grad for name, grad in zip(leaves, gradients, strict=True) if grad is not None}
    return {"output": out.detach(), **reached}


def error(value: Tensor, expected: Tensor, limit: float, reference: str, name: str = "output") -> float:
    """The relative error of a value (root mean square).

    Args:
        value: to be checked.
        expected: by the reference.
        limit: of the error.
        reference: in words.
        name: of the value, in words.

    Raises:
        No: the shape is another, or the error is above the limit.
    """
    if value.shape != expected.shape:
        raise No(f"{name} has shape {tuple(value.shape)}, expected {tuple(expected.shape)}")
    exact = expected.double()
    relative = float((value.double() - exact).norm() / exact.norm().clamp_min(1e-12))
    if not relative <= limit:  # nor is NaN
        raise No(f"{name} differs from {reference} by {relative:.1e}, more than {limit:.0e}")
    return relative


def tolerance(workload: Workload) -> float:
    """The error that values of the case's dtype may have by the order of the arithmetic alone."""
    return TOLERANCES[DTYPES[workload.case.dtype]]


def limit(name: str, dtype: torch.dtype) -> float:
    """The error that the output or a gradient, as named by `outcome`, may have in a dtype.

    Derivatives jump where rounding moves a point into another pixel or a value past the bend of a ReLU: gradients are
    only close.
    """
    return TOLERANCES[dtype] if name == "output" else min(100 * TOLERANCES[dtype], 0.5)


def attempt(check: Callable[[], str | None]) -> str | None:
    """Why one of several attempts of a probe failed, or None: what the check returns, or whatever it raises."""
    try:
        return check()
    except Exception as problem:
        text = " ".join(str(problem).split())[:REASON_LENGTH]
        return text if isinstance(problem, upsamplers.UpsamplerError) else f"{type(problem).__name__}: {text}"
