"""Finds where a model upsamples: modules by type or name, and what one forward on an example shows."""

from __future__ import annotations

import functools
import random
import re
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from upsamplers.base import Upsampler
from upsamplers.errors import UnknownModule
from upsamplers.registry import suggestion

# nn.Upsample and F.upsample_* call F.interpolate themselves.
INTERPOLATIONS = (F.interpolate, F.upsample)
RULES = ("nearest", "nearest-exact", "bilinear", "bicubic")
# The kinds of device that have a random state for each index.
SEEDED = ("cuda", "xpu")
# More module names than these are counted in a message, not listed.
MANY = 20


def modules_named(model: nn.Module, patterns: Iterable[str]) -> list[nn.Module]:
    """The modules of these names, in the model's order; the wildcards are those of `matches`.

    Raises:
        UnknownModule: a name is no module's; the message suggests near misses.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    chosen = set()
    for pattern in patterns:
        hits = {name for name in modules if matches(pattern, name) and (name or not pattern)}
        if not hits:
            hint = suggestion(pattern, [name for name in modules if name])
            if hint.startswith("there are") and len(modules) > MANY:
                hint = f"there are {len(modules) - 1}, which model.named_modules() lists"
            raise UnknownModule(f"the model has no module {pattern!r}; {hint}")
        chosen |= hits
    # A module of two names is one module.
    return list({modules[name]: None for name in modules if name in chosen})


def matches(pattern: str, name: str) -> bool:
    """Whether a path fits a pattern: `*` stands for any part of one name, `**` for any number of names."""
    wildcards = {"**.": r"(?:.*\.)?", "**": ".*", "*": "[^.]*", "?": "[^.]"}
    parts = re.split(r"(\*\*\.|\*\*|\*|\?)", pattern)
    return re.fullmatch("".join(wildcards.get(part) or re.escape(part) for part in parts), name) is not None


def paths_within(model: nn.Module, patterns: Sequence[str] | None) -> set[str]:
    """The paths of the modules of these names and of all within them; None: of every module.

    Raises:
        UnknownModule: a pattern is no module's.
    """
    paths = {path for path, _ in model.named_modules()}
    if patterns is None:
        return paths
    modules_named(model, patterns)
    wanted = [pattern for name in patterns for pattern in (name, f"{name}.**")]
    return {path for path in paths if any(matches(pattern, path) for pattern in wanted)}


@dataclass(frozen=True, slots=True)
class Upsampling:
    """One upsampling that the example showed.

    Attributes:
        shape: of x.
        out_shape: of the output.
        dtype, device: of x.
        problem: why it cannot be replaced, whatever the shapes; empty: nothing.
        note: what an operator does differently there; empty: nothing.
    """

    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
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
        rule: its mode.
    """

    inside: tuple[nn.Module, ...]
    ordinal: int
    rule: str
    upsampling: Upsampling

    @property
    def owner(self) -> nn.Module:
        """The module whose forward the call is in."""
        return self.inside[-1]


@dataclass(slots=True)
class Trace:
    """What one forward showed.

    Attributes:
        called: every module that was called, with the modules that it was called inside.
        modules: how the watched modules were called.
        calls: of F.interpolate.
        out_shapes: of the tensors that the model gave.
    """

    called: dict[nn.Module, set[nn.Module]] = field(default_factory=dict)
    modules: dict[nn.Module, list[Upsampling]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    out_shapes: list[tuple[int, ...]] = field(default_factory=list)


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

    def follow(module: nn.Module) -> None:
        """Not by hooks: a model may call `head.forward`, and catch what a module raises."""
        forward = module.forward

        @functools.wraps(forward)
        def followed(*args: Any, **kwargs: Any) -> Any:
            trace.called.setdefault(module, set()).update(frame.module for frame in stack)
            stack.append(_Frame(module))
            try:
                out = forward(*args, **kwargs)
            finally:
                stack.pop()
            if module in targets:
                trace.modules.setdefault(module, []).append(_module_call(module, [*args, *kwargs.values()], out))
            return out

        own = {name: value for name, value in vars(module).items() if name == "forward"}
        undo.callback(vars(module).update, own)
        undo.callback(vars(module).pop, "forward", None)
        vars(module)["forward"] = followed

    with unchanged(model), ExitStack() as undo, _Recording(trace, stack):
        for module in model.modules():
            # The code of a scripted module is not Python's, nor that of a module inside it.
            if not isinstance(module, torch.jit.ScriptModule):
                follow(module)
        if isinstance(example, Mapping):
            out = model(**example)
        elif isinstance(example, tuple):
            out = model(*example)
        else:
            out = model(example)
    trace.out_shapes = [tuple(leaf.shape) for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
    return trace


@dataclass(slots=True)
class _Frame:
    """A module that is being called, and how many interpolations its forward has made so far."""

    module: nn.Module
    calls: int = 0


class _Recording(TorchFunctionMode):
    """Records each interpolation with the module whose forward makes it."""

    def __init__(self, trace: Trace, stack: list[_Frame]) -> None:
        super().__init__()
        self.trace, self.stack = trace, stack

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func in INTERPOLATIONS and self.stack:
            frame = self.stack[-1]
            inside = tuple(frame.module for frame in self.stack)
            self.trace.calls.append(_interpolation(inside, frame.calls, out, *args, **kwargs))
            frame.calls += 1
        return out


def _interpolation(
    inside: tuple[nn.Module, ...],
    ordinal: int,
    out: Any,
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Call:
    """A call from its output and the arguments of F.interpolate."""
    problem = ""
    if mode not in RULES:
        problem = f"mode {mode!r}; an operator can replace {', '.join(RULES)}"
    elif antialias:
        problem = "antialias=True, which no operator has"
    return Call(inside, ordinal, mode, _upsampling(input, out, problem, _alignment_note(align_corners)))


def _module_call(module: nn.Module, arguments: Sequence[Any], out: Any) -> Upsampling:
    problem = ""
    if len(arguments) != 1:
        problem = f"it is called with {len(arguments)} arguments; an operator takes x alone"
    notes = []
    # An operator may have these from the module that it replaced.
    if not isinstance(module, Upsampler):
        size = getattr(module, "size", None)
        if size is not None:
            notes.append(f"It gave the fixed size {size}; the operator's output follows its input.")
        notes.append(_alignment_note(getattr(module, "align_corners", None)))
    return _upsampling(arguments[0] if arguments else None, out, problem, " ".join(filter(None, notes)))


def _alignment_note(align_corners: bool | None) -> str:
    return "It had align_corners=True; an operator's pixels are aligned by their areas." if align_corners else ""


def _upsampling(x: Any, out: Any, problem: str, note: str) -> Upsampling:
    if not (isinstance(x, Tensor) and isinstance(out, Tensor)):
        problem = problem or f"it turns a {type(x).__name__} into a {type(out).__name__}; an operator takes a tensor"
        x = out = torch.empty(0)
    return Upsampling(tuple(x.shape), tuple(out.shape), x.dtype, x.device, problem, note)


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Within, the model is in eval mode and without gradients; after, it and the random states are as before.

    Every module's attributes are restored, those of its dicts (buffers, hooks) too, and the buffers' values. The
    training flags are set one by one: an overridden `train()` may do more than set them.
    """
    # Scripted and lazy modules do not let their attributes be restored.
    plain = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule | LazyModuleMixin)]
    attributes = [(vars(module), dict(vars(module))) for module in plain]
    dicts = [(value, dict(value)) for _, saved in attributes for value in saved.values() if isinstance(value, dict)]
    flags = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    with _random_states(model), torch.no_grad():
        try:
            for module, _ in flags:
                module.training = False
            yield
        finally:
            for live, saved in (*attributes, *dicts):
                # Not by methods of a subclass, which may refuse.
                own: Any = OrderedDict if isinstance(live, OrderedDict) else dict
                own.clear(live)
                own.update(live, saved)
            for module, training in flags:
                module.training = training
            for buffer, value in buffers:
                # An unchanged buffer is not written to: a graph that has it may still be run backward.
                if not buffer.is_meta and not torch.equal(buffer, value):
                    buffer.copy_(value)


@contextmanager
def _random_states(model: nn.Module) -> Iterator[None]:
    """Restores the random states of Python, NumPy (where it is loaded), the CPU and the model's devices."""
    numpy_random = getattr(sys.modules.get("numpy"), "random", None)
    python_state, numpy_state = random.getstate(), numpy_random.get_state() if numpy_random else None
    indices: dict[str, set[int]] = {"cpu": set()}
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.index is not None and tensor.device.type in SEEDED:
            indices.setdefault(tensor.device.type, set()).add(tensor.device.index)
    with ExitStack() as forked:
        for kind, numbers in indices.items():
            forked.enter_context(torch.random.fork_rng(sorted(numbers), device_type=kind))
        try:
            yield
        finally:
            random.setstate(python_state)
            if numpy_random:
                numpy_random.set_state(numpy_state)
