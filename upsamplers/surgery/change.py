"""Changes a model as planned."""

from __future__ import annotations

from contextlib import ExitStack

from torch import nn

from upsamplers.base import Upsampler
from upsamplers.surgery.calls import isolate, restore, substitute, why_not_isolate
from upsamplers.surgery.decide import Plan


def change(plan: Plan) -> ExitStack:
    """Puts the planned operators into the model.

    Returns:
        What puts the model back when it is closed.
    """
    isolated = _interpolating_inside(plan)
    with ExitStack() as undo:
        for module, operator in plan.modules.items():
            _pass_attributes(module, operator)
        for parent in list(plan.names):
            for key, child in list(parent._modules.items()):
                if child in plan.modules:
                    undo.callback(parent.add_module, key, child)
                    parent.add_module(key, plan.modules[child])
        for owner, operators in plan.calls.items():
            undo.callback(restore, owner, type(owner))
            substitute(owner, operators, 1 + max(call.ordinal for call in plan.trace.calls if call.owner is owner))
        for module in isolated:
            undo.callback(restore, module, type(module))
            isolate(module)
        return undo.pop_all()


def _pass_attributes(module: nn.Module, operator: Upsampler) -> None:
    """Gives the operator what a model keeps on the module: which layers feed it, in a model built from a list."""
    for name, value in vars(module).items():
        # nn.Module has methods, such as `type`, that models replace by data of theirs.
        is_taken = name in vars(operator) or (hasattr(operator, name) and not hasattr(nn.Module, name))
        # A method set on the instance is bound to the module that goes.
        if not is_taken and not callable(value):
            setattr(operator, name, value)


def _interpolating_inside(plan: Plan) -> set[nn.Module]:
    """The modules inside a module with operators that may call F.interpolate, whose calls are not that module's.

    Modules that the example did not run are among them, since training may run them; torch's own layers are not.
    """
    owners = set(plan.calls)
    callers = {call.owner for call in plan.trace.calls if owners & set(call.inside)}
    uncalled = {
        module
        for owner in owners
        for module in owner.modules()
        if module not in plan.trace.called
        and why_not_isolate(module) is None
        and (isinstance(module, nn.Upsample) or not type(module).__module__.startswith("torch.nn."))
    }
    operators = {
        operator
        for module, operator in plan.modules.items()
        if owners & plan.trace.called.get(module, set()) or module in uncalled
    }
    return (callers | uncalled | operators) - owners - set(plan.modules)
