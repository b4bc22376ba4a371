"""Decides what is put where in a model: for every upsampling an operator, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from upsamplers.base import Upsampler
from upsamplers.chain import Chain
from upsamplers.errors import ReplacementError, Unsupported
from upsamplers.functional._torch.plain_layers import has_hooks
from upsamplers.registry import create, get
from upsamplers.surgery.calls import HOLDER, has_operators, why_not_isolate, why_not_substitute
from upsamplers.surgery.find import Call, Trace, Upsampling
from upsamplers.surgery.report import Left, Replaced


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an operator must be to replace an upsampling.

    Attributes:
        channels: C.
        scale: s.
        dtype, device: of x; None: unknown.
        note: for the report; empty: nothing.
    """

    channels: int
    scale: int
    dtype: torch.dtype | None = None
    device: torch.device | None = None
    note: str = ""


@dataclass(slots=True)
class Plan:
    """What is to be done to a model; nothing is, until all is decided.

    Attributes:
        names: the path of each module of the model.
        modules: the operator that replaces each module.
        calls: the operators of each module whose forward calls F.interpolate, by the ordinal of the call.
        replaced, left: the report.
    """

    model: nn.Module
    operator: str
    options: Mapping[str, Any]
    step: int | None
    trace: Trace
    names: Mapping[nn.Module, str]
    modules: dict[nn.Module, Upsampler] = field(default_factory=dict)
    calls: dict[nn.Module, dict[int, Upsampler]] = field(default_factory=dict)
    replaced: list[Replaced] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


def decide(plan: Plan, modules: Sequence[nn.Module], channels: int | None, calling: set[str]) -> None:
    """Plans an operator for every upsampling, or records why there is none.

    Args:
        plan: to be filled.
        modules: those to be replaced.
        channels: of the modules whose channels nothing else shows.
        calling: the paths of the modules whose calls of F.interpolate are to be replaced.

    Raises:
        ReplacementError: an example is needed.
    """
    for module in modules:
        name, what = plan.names[module], type(module).__name__
        requirement = _module_requirement(plan, module, channels)
        if isinstance(requirement, Requirement) and has_hooks(module):
            requirement = replace(requirement, note=f"{requirement.note} Its hooks are not called any more.".strip())
        operator = _plan_operator(plan, requirement, module.training, name, what)
        if operator is not None:
            plan.modules[module] = operator
    _decide_calls(plan, calling)


def _decide_calls(plan: Plan, calling: set[str]) -> None:
    sites: dict[tuple[nn.Module, int], list[Call]] = {}
    for call in plan.trace.calls:
        if not any(isinstance(module, nn.Upsample | Upsampler) or module in plan.modules for module in call.inside):
            sites.setdefault((call.owner, call.ordinal), []).append(call)
    for module, name in plan.names.items():
        if has_operators(module) and name in calling:
            plan.left.append(Left(name, "calls of F.interpolate", why_not_substitute(module) or ""))
    for (owner, ordinal), calls in sites.items():
        name, what = plan.names[owner], f"F.interpolate ({calls[0].rule}), call {ordinal}"
        requirement = _call_requirement(plan, owner, calls, name in calling)
        path = ".".join(filter(None, (name, HOLDER, str(ordinal))))
        operator = _plan_operator(plan, requirement, owner.training, name, what, path)
        if operator is not None:
            plan.calls.setdefault(owner, {})[ordinal] = operator


def _plan_operator(
    plan: Plan, requirement: Requirement | str, training: bool, name: str, what: str, path: str | None = None
) -> Upsampler | None:
    """Creates the operator and adds its row to the report; without one, adds the reason and returns None."""
    if isinstance(requirement, str):
        plan.left.append(Left(name, what, requirement))
        return None
    weights = [parameter for parameter in plan.model.parameters() if parameter.is_floating_point()]
    device = requirement.device or (weights[0].device if weights else torch.device("cpu"))
    options = plan.options if plan.step is None else {**plan.options, "step": plan.step}
    reason = get(plan.operator).why_not(scale=requirement.scale, step=plan.step, device=device.type.replace("meta", ""))
    try:
        operator = None if reason else create(plan.operator, requirement.channels, scale=requirement.scale, **options)
    except Unsupported as refusal:
        operator, reason = None, str(refusal)
    if operator is None:
        plan.left.append(Left(name, what, reason or ""))
        return None
    dtypes = {weight.dtype for weight in weights}
    # Under autocast a feature is of a lower precision than the weights.
    dtype = dtypes.pop() if len(dtypes) == 1 else requirement.dtype
    parameters = sum(parameter.numel() for parameter in operator.parameters())
    note = requirement.note
    if isinstance(operator, Chain):
        note = f"A chain of {len(list(operator.children()))} of scale {plan.step}. {note}".strip()
    row = Replaced(path or name, what, plan.operator, requirement.channels, requirement.scale, parameters, note)
    plan.replaced.append(row)
    return operator.to(device=device, dtype=dtype).train(training)


def _module_requirement(plan: Plan, module: nn.Module, channels: int | None) -> Requirement | str:
    if module is plan.model:
        return "it is the model itself, so no module has it as a submodule"
    if any(module in outer.modules() for outer in plan.modules):
        return "it is inside a module that was replaced"
    if upsamplings := plan.trace.modules.get(module):
        return _shown_requirement(upsamplings, "it is called")
    stated = _stated_requirement(module, channels)
    if stated is not None:
        return stated
    if plan.trace.called:
        return "the model does not call it on the example, in eval mode"
    missing, ways = "its channels and scale", ""
    if getattr(module, "scale_factor", None) is not None:
        missing, ways = "its channels", ", or channels="
    raise ReplacementError(
        f"{plan.names[module]} ({type(module).__name__}) does not say {missing}; "
        f"give example=, what the model's forward takes{ways}"
    )


def _call_requirement(plan: Plan, owner: nn.Module, calls: Sequence[Call], is_included: bool) -> Requirement | str:
    requirement = _shown_requirement([call.upsampling for call in calls], "its module is called")
    if isinstance(requirement, str):
        return requirement
    if not is_included:
        return "calls=True, or calls= with the path of this module, would replace it"
    if reason := why_not_substitute(owner):
        return reason
    for module in (call.owner for call in plan.trace.calls if owner in call.inside[:-1]):
        if reason := why_not_isolate(module):
            return f"{plan.names[module]} within it interpolates too, and {reason}"
    return requirement


def _shown_requirement(upsamplings: Sequence[Upsampling], subject: str) -> Requirement | str:
    """What all upsamplings of one module or call require, or why no operator can do them.

    Args:
        upsamplings: at least one.
        subject: what was called, for the note on several calls.
    """
    for upsampling in upsamplings:
        if reason := _why_not(upsampling):
            return reason
    sizes = sorted({(upsampling.shape[1], _scale(upsampling)) for upsampling in upsamplings})
    if len(sizes) > 1:
        listed = ", ".join(f"{channels} channels at scale {scale}" for channels, scale in sizes)
        return f"{subject} several times a forward, with {listed}: give each place a module of its own"
    first, times = upsamplings[0], len(upsamplings)
    note = first.note
    if times > 1:
        shared = f"{subject[0].upper()}{subject[1:]} {times} times a forward: one operator, with one set of weights."
        note = f"{shared} {note}".strip()
    return Requirement(*sizes[0], first.dtype, first.device, note)


def _why_not(upsampling: Upsampling) -> str | None:
    """Why no operator can do what was shown, or None."""
    shape, out_shape = upsampling.shape, upsampling.out_shape
    if upsampling.problem:
        return upsampling.problem
    if len(shape) != 4 or len(out_shape) != 4:
        return f"it takes {shape} to {out_shape}; an operator takes (B, C, H, W)"
    if not upsampling.dtype.is_floating_point:
        return f"it takes {upsampling.dtype}; an operator takes floating-point features"
    if shape[1] != out_shape[1]:
        return f"it turns {shape[1]} channels into {out_shape[1]}; an operator keeps them"
    size, out_size = (" x ".join(map(str, sides)) for sides in (shape[2:], out_shape[2:]))
    if min(shape[2:]) < 1 or size == out_size:
        return f"it keeps the size {size}"
    if _scale(upsampling) < 1:
        return f"{out_size} is no integer multiple of {size}, the same for both sides"
    return None


def _scale(upsampling: Upsampling) -> int:
    """The integer factor of both sides, or 0."""
    height, width = upsampling.shape[2:]
    scale = upsampling.out_shape[2] // height
    return scale if scale > 1 and upsampling.out_shape[2:] == (scale * height, scale * width) else 0


def _stated_requirement(module: nn.Module, channels: int | None) -> Requirement | str | None:
    """What a module's own attributes say, without an example; None where they say too little.

    Args:
        module: nn.Upsample, nn.ConvTranspose2d or an operator; of others nothing is known.
        channels: where the module has none of its own.
    """
    if isinstance(module, Upsampler):
        return Requirement(module.channels, module.scale)
    if isinstance(module, nn.ConvTranspose2d):
        return _deconvolution_requirement(module)
    if isinstance(module, nn.Upsample) and module.scale_factor is not None and channels is not None:
        factor: Any = module.scale_factor
        height, width = factor if isinstance(factor, tuple) else (factor, factor)
        if height != width or height % 1 or height < 2:
            return f"scale_factor={factor} is no integer of at least 2, the same for both sides"
        return Requirement(channels, int(height))
    return None


def _deconvolution_requirement(module: nn.ConvTranspose2d) -> Requirement | str:
    if module.in_channels != module.out_channels:
        return f"it turns {module.in_channels} channels into {module.out_channels}; an operator keeps them"
    scale = module.stride[0]
    # A side of the output is s(H - 1) plus this.
    ends = {
        module.dilation[side] * (module.kernel_size[side] - 1)
        + module.output_padding[side]
        + 1
        - 2 * int(module.padding[side])
        for side in (0, 1)
    }
    if set(module.stride) != {scale} or scale < 2 or ends != {scale}:
        return f"its output is not {scale} times its input on both sides"
    return Requirement(module.in_channels, scale)
