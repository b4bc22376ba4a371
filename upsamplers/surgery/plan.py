"""What is to be put where in a model: decided for every place, then carried out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from upsamplers.base import Upsampler
from upsamplers.errors import ReplacementError, Unsupported
from upsamplers.registry import create, get
from upsamplers.surgery.chain import Chain
from upsamplers.surgery.place import Place, seen_place, stated_place
from upsamplers.surgery.report import Left, Replaced
from upsamplers.surgery.substitution import (
    HOLDER,
    holds_operators,
    set_aside,
    substitute,
    why_not_aside,
    why_not_substitute,
)
from upsamplers.surgery.trace import Call, Trace


@dataclass(slots=True)
class Plan:
    """What is to be done to a model; nothing is, until all is decided.

    Attributes:
        names: the path of each module of the model.
        modules: the operator that each module makes room for.
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


def decide(plan: Plan, modules: Sequence[nn.Module], channels: int | None, wanted: Callable[[str], bool]) -> None:
    """Plans an operator for every place, or writes down why there is none.

    Args:
        plan: to be filled.
        modules: those to be replaced.
        channels: of the modules that nothing else tells of.
        wanted: whether the calls of F.interpolate in the module of this path are to be replaced.

    Raises:
        ReplacementError: only an example can tell.
    """
    for module in modules:
        _decide_module(plan, module, channels)
    _decide_calls(plan, wanted)


def _decide_module(plan: Plan, module: nn.Module, channels: int | None) -> None:
    name, what = plan.names[module], type(module).__name__
    if module is plan.model:
        place: Place | str = "nothing holds it, so nothing can be put in its place"
    elif any(module in outer.modules() for outer in plan.modules):
        place = "it is inside a module that was replaced"
    else:
        place = _place_of(plan, module, channels)
    operator = place if isinstance(place, str) else _fitted(plan, place, module.training)
    if isinstance(operator, str):
        plan.left.append(Left(name, what, operator))
    elif not isinstance(place, str):
        plan.modules[module] = operator
        plan.replaced.append(_row(plan, name, what, operator, place))


def _decide_calls(plan: Plan, wanted: Callable[[str], bool]) -> None:
    sites: dict[tuple[nn.Module, int], list[Call]] = {}
    for call in plan.trace.calls:
        if not any(isinstance(one, nn.Upsample | Upsampler) or one in plan.modules for one in call.inside):
            sites.setdefault((call.owner, call.ordinal), []).append(call)
    for module, name in plan.names.items():
        if holds_operators(module) and wanted(name):
            plan.left.append(Left(name, "calls of F.interpolate", why_not_substitute(module) or ""))
    for (owner, ordinal), made in sites.items():
        name, what = plan.names[owner], f"F.interpolate ({made[0].rule}), call {ordinal}"
        place = _place_of_call(plan, owner, made, wanted(plan.names[owner]))
        operator = place if isinstance(place, str) else _fitted(plan, place, owner.training)
        if isinstance(operator, str):
            plan.left.append(Left(name, what, operator))
        elif not isinstance(place, str):
            plan.calls.setdefault(owner, {})[ordinal] = operator
            where = ".".join(filter(None, (name, HOLDER, str(ordinal))))
            plan.replaced.append(_row(plan, where, what, operator, place))


def carry_out(plan: Plan) -> None:
    """Changes the model."""
    aside = _interpolating_inside(plan)
    for parent in list(plan.names):
        for key, child in list(parent._modules.items()):
            if child in plan.modules:
                parent.add_module(key, plan.modules[child])
    for owner, operators in plan.calls.items():
        substitute(owner, operators, 1 + max(call.ordinal for call in plan.trace.calls if call.owner is owner))
    for module in aside:
        set_aside(module)


def _place_of(plan: Plan, module: nn.Module, channels: int | None) -> Place | str:
    if seen := plan.trace.modules.get(module):
        return seen_place(seen, "it is called")
    stated = stated_place(module, channels)
    if stated is not None:
        return stated
    if plan.trace.called:
        return "the model does not call it on the example, in eval mode"
    known = getattr(module, "scale_factor", None) is not None
    missing, ways = ("its channels", ", or channels=") if known else ("its channels and scale", "")
    raise ReplacementError(
        f"{plan.names[module]} ({type(module).__name__}) does not say {missing}; "
        f"give example=, what the model's forward takes{ways}"
    )


def _place_of_call(plan: Plan, owner: nn.Module, calls: Sequence[Call], wanted: bool) -> Place | str:
    place = seen_place([one.seen for one in calls], "its module is called")
    if isinstance(place, str):
        return place
    if not wanted:
        return "calls=True, or calls= with the path of this module, would replace it"
    if reason := why_not_substitute(owner):
        return reason
    for module in (call.owner for call in plan.trace.calls if owner in call.inside[:-1]):
        if reason := why_not_aside(module):
            return f"{plan.names[module]} within it interpolates too, and {reason}"
    return place


def _fitted(plan: Plan, place: Place, training: bool) -> Upsampler | str:
    """The operator for a place, or why there is none."""
    weights = [one for one in plan.model.parameters() if one.is_floating_point()]
    device = place.device or (weights[0].device if weights else torch.device("cpu"))
    if reason := get(plan.operator).why_not(scale=plan.step or place.scale, device=device.type.replace("meta", "")):
        return reason
    try:
        made = _created(plan, place)
    except Unsupported as refusal:
        return str(refusal)
    dtypes = {one.dtype for one in weights}
    # Under autocast a feature is of a lower precision than the weights.
    dtype = dtypes.pop() if len(dtypes) == 1 else place.dtype
    return made.to(device=device, dtype=dtype).train(training)


def _created(plan: Plan, place: Place) -> Upsampler:
    if plan.step is None or plan.step == place.scale:
        return create(plan.operator, place.channels, scale=place.scale, **plan.options)
    length = round(math.log(place.scale, plan.step))
    if plan.step**length != place.scale:
        raise Unsupported(f"scale {place.scale} is no power of step={plan.step}")
    return Chain([create(plan.operator, place.channels, scale=plan.step, **plan.options) for _ in range(length)])


def _row(plan: Plan, where: str, what: str, made: Upsampler, place: Place) -> Replaced:
    parameters = sum(one.numel() for one in made.parameters())
    chain = f"A chain of {len(list(made.children()))} of scale {plan.step}." if isinstance(made, Chain) else ""
    note = " ".join(filter(None, (chain, place.note)))
    return Replaced(where, what, plan.operator, place.channels, place.scale, parameters, note)


def _interpolating_inside(plan: Plan) -> set[nn.Module]:
    """What may call F.interpolate while a module that got operators runs, and is not to be counted among its calls.

    What the example did not call (a branch of training) counts, unless it is a layer of torch's.
    """
    owners = set(plan.calls)
    callers = {call.owner for call in plan.trace.calls if owners & set(call.inside)}
    uncalled = {
        module
        for owner in owners
        for module in owner.modules()
        if module not in plan.trace.called
        and (isinstance(module, nn.Upsample) or not type(module).__module__.startswith("torch.nn."))
    }
    inside = {old: plan.trace.called.get(old, set()) for old in plan.modules}
    operators = {made for old, made in plan.modules.items() if owners & inside[old] or old in uncalled}
    return (callers | uncalled | operators) - owners - set(plan.modules)
