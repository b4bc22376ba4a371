"""Gives a module operators that its forward uses in place of its own calls of F.interpolate.

The module's class becomes a subclass of its own, under the same name, whose forward runs in a `TorchFunctionMode`: the
operators are ordinary submodules, and copies, pickles, state_dicts, DataParallel's replicas and `torch.compile` see an
ordinary module.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from upsamplers.base import Upsampler, fit_to
from upsamplers.errors import Unsupported
from upsamplers.surgery.find import INTERPOLATIONS

# A module's submodule that has the operators, and its attribute with the number of calls in its forward.
HOLDER, CALL_COUNT = "upsamplers", "upsamplers_calls"
_classes: dict[tuple[type[nn.Module], bool], type[nn.Module]] = {}


class Substituting(nn.Module):
    """A module that counts its own calls of F.interpolate, which its parents do not; operators may do some of them."""

    substituted: ClassVar[type[nn.Module]]
    has_operators: ClassVar[bool]

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced: Any = super().__reduce_ex__(protocol)
        return (_empty_instance, (self.substituted, self.has_operators), *reduced[2:])


class _Within(threading.local):
    """Whether this thread is within a call that was replaced."""

    replacement = False


_within = _Within()


class _Substitution(TorchFunctionMode):
    """Counts the interpolations in one forward, and has operators do those that were replaced."""

    def __init__(self, operators: Any, call_count: int = 0) -> None:
        super().__init__()
        self.operators = operators
        self.call_count = call_count
        self.counted = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in INTERPOLATIONS or _within.replacement:
            return func(*args, **kwargs)
        ordinal = str(self.counted)
        self.counted += 1
        if self.operators is not None and self.counted > self.call_count:
            raise Unsupported(
                f"a module whose calls of F.interpolate were replaced makes more than the {self.call_count} that the "
                "example showed, in eval mode, so calls cannot be matched with operators; replace with an example "
                "that takes the same path, or leave this module out of calls="
            )
        # The modes of the modules around this one must not count what the operator calls, nor this call.
        _within.replacement = True
        try:
            if self.operators is not None and ordinal in self.operators:
                return _upsample(self.operators[ordinal], *args, **kwargs)
            return func(*args, **kwargs)
        finally:
            _within.replacement = False


def why_not_substitute(module: nn.Module) -> str | None:
    """Why no operator can be given to a module's calls, or None."""
    if reason := why_not_isolate(module):
        return reason
    if has_operators(module):
        return "its calls were replaced before; replace all of them at once, in a model that was not changed yet"
    if hasattr(module, HOLDER):
        return f"it has an attribute {HOLDER!r} of its own, the name that the operators would get"
    return None


def why_not_isolate(module: nn.Module) -> str | None:
    """Why a module's calls cannot be kept out of the count of a module around it, or None."""
    if isinstance(module, torch.jit.ScriptModule):
        return "it is scripted: replace before torch.jit.script"
    if "forward" in vars(module):
        return "its forward was set on the instance by another library: replace before that"
    if type(module).__reduce__ is not object.__reduce__:  # such as torch.fx's GraphModule, which makes a new class
        return f"its class {type(module).__name__} is pickled in a way of its own: replace before it is made (traced)"
    return None


def substitute(module: nn.Module, operators: Mapping[int, Upsampler], calls: int) -> None:
    """Gives a module the operators for its calls of F.interpolate, by the ordinal of the call in one forward.

    Args:
        module: its class becomes a subclass of its own.
        operators: by ordinal.
        calls: how many there are in one forward, those that stay included.
    """
    cls: Any = type(module)
    subclass = _substituting(cls.substituted if isinstance(module, Substituting) else cls, has_operators=True)
    setattr(module, CALL_COUNT, calls)
    module.add_module(HOLDER, nn.ModuleDict({str(ordinal): operator for ordinal, operator in operators.items()}))
    module.__class__ = subclass


def isolate(module: nn.Module) -> None:
    """Keeps a module's own calls out of the count of a module around it."""
    if not isinstance(module, Substituting):
        module.__class__ = _substituting(type(module), has_operators=False)


def restore(module: nn.Module, cls: type[nn.Module]) -> None:
    """Undoes `substitute` or `isolate` of a module that was of this class before."""
    if has_operators(module):
        delattr(module, CALL_COUNT)
        delattr(module, HOLDER)
    module.__class__ = cls


def has_operators(module: nn.Module) -> bool:
    """Whether an earlier replacement gave a module operators for its calls."""
    return isinstance(module, Substituting) and module.has_operators


def _substituting(cls: type[nn.Module], *, has_operators: bool) -> type[nn.Module]:
    """The subclass of a class; one for each, so that two modules of one class stay of one class."""
    if (cls, has_operators) in _classes:
        return _classes[cls, has_operators]

    @functools.wraps(cls.forward)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        mode = _Substitution(self._modules[HOLDER], getattr(self, CALL_COUNT)) if has_operators else _Substitution(None)
        with mode:
            return cls.forward(self, *args, **kwargs)

    metaclass: Any = type(cls)
    attributes = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "forward": forward,
        "substituted": cls,
        "has_operators": has_operators,
    }
    _classes[cls, has_operators] = metaclass(cls.__name__, (Substituting, cls), attributes)
    return _classes[cls, has_operators]


def _empty_instance(cls: type[nn.Module], has_operators: bool) -> nn.Module:
    """What unpickling starts from: an instance without any state."""
    subclass = _substituting(cls, has_operators=has_operators)
    return subclass.__new__(subclass)


def _upsample(
    operator: Upsampler, x: Tensor, size: Any = None, scale_factor: Any = None, *rule: Any, **ignored: Any
) -> Tensor:
    """The operator's output for x, cropped or continued to exactly the size of the replaced call.

    Raises:
        Unsupported: that is more than an input pixel away from the operator's own size.
    """
    scale = operator.scale
    if size is None:
        requested = f"scale_factor={scale_factor}"
        factors = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor, scale_factor)
        fits = all(factor == scale for factor in factors)
        height, width = scale * x.shape[-2], scale * x.shape[-1]
    else:
        requested = f"size={size}"
        height, width = size if isinstance(size, tuple | list) else (size, size)
        fits = abs(scale * x.shape[-2] - height) < scale and abs(scale * x.shape[-1] - width) < scale
    if not fits:
        raise Unsupported(
            f"an operator of scale {scale} replaces this call of F.interpolate, which asks for {requested} of x "
            f"{tuple(x.shape)}; expected {scale} times the sides of x, or up to {scale - 1} more or fewer a side"
        )
    return fit_to(operator.require_own_size(x, operator(x)), height, width)
