"""What probes share: the operator in another case, its output and gradients, and how near they must be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
# What a parameter starts from may be zero, which would leave half of an operator untried.
TRAINED = 0.1
REASON = 160


def info(name: str, title: str, place: int, description: str) -> MetricInfo:
    """A column of yes and no."""
    return MetricInfo(
        name, title, "bool", PROBE, lower_is_better=False, exact=True, place=place, description=description
    )


def yes(info: MetricInfo, method: str, *notes: str, **facts: float | str) -> tuple[Reading, ...]:
    """The reading of a capability that is there."""
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
    _train(built.module)
    built.module.eval()
    return built


def _train(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(SETTINGS.seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(TRAINED * torch.randn(parameter.shape, generator=generator).to(parameter))


def forward(built: Workload) -> Tensor:
    """The output, without gradients."""
    with torch.no_grad():
        out: Tensor = built.module(*built.inputs)
        return out


def outcome(built: Workload, *, parameters: bool = False) -> dict[str, Tensor]:
    """The output, and the gradients of the inputs and, where asked for, of the parameters, by what they are."""
    return backward(built, built.module(*built.inputs), parameters=parameters)


def backward(built: Workload, out: Tensor, *, parameters: bool = False) -> dict[str, Tensor]:
    """The output with the gradients that a drawn gradient of it leads to."""
    leaves = {f"gradient of {name}": one for name, one in zip(("x", "the guide"), built.inputs, strict=False)}
    leaves |= {f"gradient of {name}": one for name, one in built.module.named_parameters() if parameters}
    leaves = {name: one for name, one in leaves.items() if one.requires_grad}
    generator = torch.Generator().manual_seed(SETTINGS.seed)
    gradient = torch.randn(out.shape, generator=generator).to(out)
    found = torch.autograd.grad(out, list(leaves.values()), gradient, allow_unused=True)
    reached = {name: one for name, one in zip(leaves, found, strict=True) if one is not None}
    return {"output": out.detach(), **reached}


def hold(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], limit: float, than: str) -> float:
    """How far the values are off, as a share of their size (root mean square).

    Args:
        found: by what they are; others than those wanted are not looked at.
        wanted: what they should be.
        limit: how far they may be.
        than: what the wanted ones are, in words.

    Raises:
        No: they are further off.
    """
    worst = 0.0
    for name, one in wanted.items():
        if found[name].shape != one.shape:
            raise No(f"{name} has shape {tuple(found[name].shape)}, expected {tuple(one.shape)}")
        error = _off(found[name], one)
        if not error <= limit:
            raise No(f"{name} is {error:.1e} off {than}, more than {limit:.0e}")
        worst = max(worst, error)
    return worst


def rounding(workload: Workload) -> float:
    """How far values of the case's dtype may be off by the order of the arithmetic alone."""
    return TOLERANCES[DTYPES[workload.case.dtype]]


def _off(found: Tensor, wanted: Tensor) -> float:
    wanted = wanted.double()
    return float((found.double() - wanted).norm() / wanted.norm().clamp_min(1e-12))


def attempt(call: Callable[[], str | None]) -> str | None:
    """Why one of several attempts of a probe failed, or None: what it returns, or whatever it raises."""
    try:
        return call()
    except Exception as problem:
        text = " ".join(str(problem).split())[:REASON]
        return text if isinstance(problem, upsamplers.UpsamplerError) else f"{type(problem).__name__}: {text}"
