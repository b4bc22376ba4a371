"""Gives a module operators that its forward uses in the place of its own calls of F.interpolate.

The module's class becomes a subclass of its own, under the same name, whose forward runs in a `TorchFunctionMode`: the
operators are ordinary submodules, and copies, pickles, state_dicts, DataParallel's replicas and `torch.compile` see an
ordinary module.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from upsamplers.base import Upsampler
from upsamplers.errors import Unsupported
from upsamplers.surgery.trace import INTERPOLATIONS

HOLDER, KNOWN = "upsamplers", "upsamplers_calls"
_classes: dict[tuple[type[nn.Module], bool], type[nn.Module]] = {}


class Substituting(nn.Module):
    """A module whose interpolations are its own affair: some go to operators, and no module around it sees the rest."""

    substituted: ClassVar[type[nn.Module]]
    holds: ClassVar[bool]

    def __reduce_ex__(self, protocol: Any) -> Any:
        made: Any = super().__reduce_ex__(protocol)
        return (_bare, (self.substituted, self.holds), *made[2:])


class _Substitution(TorchFunctionMode):
    """Counts the interpolations in one forward, and brings each that an operator stands in for to it."""

    def __init__(self, operators: Any, known: int = 0) -> None:
        super().__init__()
        self.operators = operators
        self.known = known
        self.seen = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in INTERPOLATIONS:
            return func(*args, **kwargs)
        ordinal = str(self.seen)
        self.seen += 1
        if self.operators is not None and self.seen > self.known:
            raise Unsupported(
                f"a module whose calls of F.interpolate were replaced makes more than the {self.known} that the "
                "example showed, in eval mode: which call is whose can no longer be told; replace with an example that "
                "goes the same way, or leave this module out of calls="
            )
        # Else the modes of the modules around this one would count what the operator calls, or this call.
        with torch._C.DisableTorchFunction():
            if self.operators is not None and ordinal in self.operators:
                return _bring(self.operators[ordinal], *args, **kwargs)
            return func(*args, **kwargs)


def why_not_substitute(module: nn.Module) -> str | None:
    """Why no operator can be given to a module's calls, or None."""
    if reason := why_not_aside(module):
        return reason
    if isinstance(module, Substituting):
        return "an earlier replacement has seen to its calls; name them all in one"
    if hasattr(module, HOLDER):
        return f"it has an attribute {HOLDER!r} of its own, where the operators would be held"
    return None


def why_not_aside(module: nn.Module) -> str | None:
    """Why a module's calls cannot be kept from the count of a module around it, or None."""
    if isinstance(module, torch.jit.ScriptModule):
        return "it is scripted: replace before torch.jit.script"
    if "forward" in vars(module):
        return "its forward was set on the instance by another library: replace before that"
    return None


def substitute(module: nn.Module, operators: Mapping[int, Upsampler], calls: int) -> None:
    """Gives a module the operators for its calls of F.interpolate, by the ordinal of the call in one forward.

    Args:
        module: its class becomes a subclass of its own.
        operators: by ordinal.
        calls: how many there are in one forward, those that stay included.
    """
    setattr(module, KNOWN, calls)
    module.add_module(HOLDER, nn.ModuleDict({str(ordinal): one for ordinal, one in operators.items()}))
    module.__class__ = _substituting(type(module), holds=True)


def set_aside(module: nn.Module) -> None:
    """Keeps a module's own calls from the count of a module around it."""
    if not isinstance(module, Substituting):
        module.__class__ = _substituting(type(module), holds=False)


def holds_operators(module: nn.Module) -> bool:
    """Whether an earlier replacement gave a module operators for its calls."""
    return isinstance(module, Substituting) and module.holds


def _substituting(cls: type[nn.Module], *, holds: bool) -> type[nn.Module]:
    """The subclass of a class; one for each, so that two modules of one class stay of one class."""
    if (cls, holds) not in _classes:
        metaclass: Any = type(cls)
        named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        own = {"forward": _forward_of(cls, holds=holds), "substituted": cls, "holds": holds}
        _classes[cls, holds] = metaclass(cls.__name__, (Substituting, cls), {**named, **own})
    return _classes[cls, holds]


def _forward_of(cls: type[nn.Module], *, holds: bool) -> Any:
    @functools.wraps(cls.forward)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with _Substitution(self._modules[HOLDER], getattr(self, KNOWN)) if holds else _Substitution(None):
            return cls.forward(self, *args, **kwargs)

    return forward


def _bare(cls: type[nn.Module], holds: bool) -> nn.Module:
    """What unpickling starts from: an instance without any state."""
    made = _substituting(cls, holds=holds)
    return made.__new__(made)


def _bring(
    operator: Upsampler, x: Tensor, size: Any = None, scale_factor: Any = None, *rule: Any, **ignored: Any
) -> Tensor:
    """What the operator makes of x, of exactly the size that was asked for.

    Raises:
        Unsupported: that is more than an input pixel away from the operator's own.
    """
    if size is None:
        by = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor, scale_factor)
        _require(operator, x, all(one == operator.scale for one in by), f"scale_factor={scale_factor}")
        whole: Tensor = operator(x)
        return whole
    height, width = size if isinstance(size, tuple | list) else (size, size)
    missing = (operator.scale * x.shape[-2] - height, operator.scale * x.shape[-1] - width)
    _require(operator, x, all(0 <= one < operator.scale for one in missing), f"size={size}")
    out: Tensor = operator(x)
    return out[..., :height, :width] if any(missing) else out


def _require(operator: Upsampler, x: Tensor, fits: bool, asked: str) -> None:
    if not fits:
        raise Unsupported(
            f"an operator of scale {operator.scale} stands here in the place of F.interpolate; it was asked for "
            f"{asked} of x {tuple(x.shape)}; expected sides up to {operator.scale - 1} shorter than "
            f"{operator.scale} times those of x"
        )
