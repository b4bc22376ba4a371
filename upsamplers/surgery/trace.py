"""Watches one forward: which modules upsample what, and which forwards call F.interpolate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from upsamplers.surgery.untouched import untouched

# nn.Upsample and F.upsample_* come to F.interpolate themselves.
INTERPOLATIONS = (F.interpolate, F.upsample)
RULES = ("nearest", "nearest-exact", "bilinear", "bicubic")


@dataclass(frozen=True, slots=True)
class Seen:
    """One upsampling as it was seen.

    Attributes:
        shape: of x.
        made: the shape of the output.
        dtype, device: of x.
        problem: what stands against replacing it, whatever the shapes; empty: nothing.
        note: what an operator in its place would do otherwise; empty: nothing.
    """

    shape: tuple[int, ...]
    made: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of F.interpolate.

    Attributes:
        inside: the modules that were being called, the outermost first; the last is the one whose forward it is in.
        ordinal: which of the calls in one forward of that module, from 0.
        rule: the mode that it asks for.
    """

    inside: tuple[nn.Module, ...]
    ordinal: int
    rule: str
    seen: Seen

    @property
    def owner(self) -> nn.Module:
        """The module whose forward the call is in."""
        return self.inside[-1]


@dataclass(slots=True)
class Trace:
    """What was seen in one forward.

    Attributes:
        called: every module that was called, with the modules that it was called inside.
        modules: how the watched modules were called.
        calls: of F.interpolate.
    """

    called: dict[nn.Module, set[nn.Module]] = field(default_factory=dict)
    modules: dict[nn.Module, list[Seen]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)


def watch(model: nn.Module, example: Any, watched: Iterable[nn.Module]) -> Trace:
    """Runs the model once in eval mode, without gradients, and leaves its state as it was.

    Args:
        model: what is run.
        example: what its forward takes: positional arguments as a tuple, keyword arguments as a mapping, or the one
            argument.
        watched: the modules whose inputs and outputs count.
    """
    trace, stack = Trace(), list[_Frame]()
    targets = set(watched)
    with ExitStack() as hooks:
        for module in model.modules():
            # The code of a scripted module is not Python's: no hook of a module inside it is called.
            if not isinstance(module, torch.jit.ScriptModule):
                before = module.register_forward_pre_hook(_entering(trace, stack))
                after = module.register_forward_hook(_leaving(trace, stack, targets), with_kwargs=True)
                hooks.callback(before.remove)
                hooks.callback(after.remove)
        with untouched(model), _Recording(trace, stack):
            _run(model, example)
    return trace


@dataclass(slots=True)
class _Frame:
    """A module that is being called, and how many interpolations its forward has asked for."""

    module: nn.Module
    calls: int = 0


class _Recording(TorchFunctionMode):
    """Notes each interpolation down, with the module whose forward asks for it."""

    def __init__(self, trace: Trace, stack: list[_Frame]) -> None:
        super().__init__()
        self.trace, self.stack = trace, stack

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func in INTERPOLATIONS and self.stack:
            frame = self.stack[-1]
            inside = tuple(one.module for one in self.stack)
            asked = _asked(*args, **kwargs)
            seen = _seen(asked["input"], out, _problem(asked), _note(asked["align_corners"]))
            self.trace.calls.append(Call(inside, frame.calls, asked["mode"], seen))
            frame.calls += 1
        return out


def _run(model: nn.Module, example: Any) -> None:
    if isinstance(example, Mapping):
        model(**example)
    elif isinstance(example, tuple):
        model(*example)
    else:
        model(example)


def _entering(trace: Trace, stack: list[_Frame]) -> Callable[[nn.Module, Any], None]:
    def enter(module: nn.Module, args: Any) -> None:
        trace.called.setdefault(module, set()).update(one.module for one in stack)
        stack.append(_Frame(module))

    return enter


def _leaving(trace: Trace, stack: list[_Frame], targets: set[nn.Module]) -> Callable[[nn.Module, Any, Any, Any], None]:
    def leave(module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        stack.pop()
        if module in targets:
            given = [*args, *kwargs.values()]
            problem = "" if len(given) == 1 else f"it is called with {len(given)} arguments; an operator takes x alone"
            seen = _seen(given[0] if given else None, out, problem, _module_note(module))
            trace.modules.setdefault(module, []).append(seen)

    return leave


def _seen(x: Any, out: Any, problem: str, note: str) -> Seen:
    if not (isinstance(x, Tensor) and isinstance(out, Tensor)):
        problem = problem or f"it turns a {type(x).__name__} into a {type(out).__name__}; an operator takes a tensor"
        x = out = torch.empty(0)
    return Seen(tuple(x.shape), tuple(out.shape), x.dtype, x.device, problem, note)


def _asked(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> dict[str, Any]:
    """The arguments of F.interpolate by their names."""
    return dict(locals())


def _problem(asked: Mapping[str, Any]) -> str:
    if asked["mode"] not in RULES:
        return f"mode {asked['mode']!r}; an operator stands in for {', '.join(RULES)}"
    return "antialias=True, which no operator has" if asked["antialias"] else ""


def _note(align_corners: bool | None) -> str:
    return "It had align_corners=True; an operator's pixels are aligned by their areas." if align_corners else ""


def _module_note(module: nn.Module) -> str:
    size = getattr(module, "size", None)
    fixed = f"It gave the fixed size {size}; the operator's output follows its input." if size is not None else ""
    return " ".join(filter(None, (fixed, _note(getattr(module, "align_corners", None)))))
