"""A step under torch's profiler: its operations, and the range that each ran in.

A range is a call of a submodule, named by its path, or a stage that an operator names (`record_function`). What runs
in backward belongs to the range of its forward: autograd numbers its nodes, and the profiler gives both the number.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch._C._autograd import DeviceType
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.profiler import ProfilerActivity, profile, record_function

from upsampler_bench.metrics.traffic import COMPOSITE
from upsampler_bench.results import Span

# How ranges begin that are ours: they name no part of an operator.
MARK, STEP = "operation ", "step"
# The namespace of the operations by which ranges begin and end.
PROFILER = "profiler"
EVALUATION = "autograd::engine::evaluate_function: "
# What stands behind the name of a range that torch itself opens, such as that of an optimiser's step.
DETAIL = "#"
OPERATION, RANGE, KERNEL = "operation", "range", "kernel"
# Calls in a loop that measures the overhead, and loops.
CALLS, REPEATS = 100, 5
# The profiler's scopes of an operation and of a node of backward.
FUNCTION, BACKWARD = 0, 1
MICROSECONDS = 1e6
# Of a step, what is stored of it: so a step of thousands of operations is no larger than others.
SHORTEST = 1e-3
# Between two stored steps (µs).
APART = 10.0
Event = Any


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds that the profiler itself takes: for an operation, and for a range of a submodule."""

    event: float = 0.0
    range: float = 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """The profiler's events of one step, in the order in which they began.

    Attributes:
        paths: of the submodules.
        forwards: by the number of an autograd node, the operation of the forward that made it.
    """

    events: tuple[Event, ...]
    paths: frozenset[str]
    forwards: dict[int, Event]

    @property
    def step(self) -> Event:
        """The event of the whole step."""
        return next(event for event in self.events if event.name == STEP)

    def within(self, event: Event) -> str:
        """The innermost submodule, with the stage of it if there is one; empty: the operator or model itself."""
        stage = ""
        while (event := self._around(event)) is not None:
            if event.name in self.paths:
                return f"{event.name}.{stage}" if stage else str(event.name)
            if not stage and is_range(event):
                stage = event.name.partition(DETAIL)[0]
        return stage

    def _around(self, event: Event) -> Event | None:
        """What an event lies within; of a node of backward, what its forward lies within."""
        if event.name.startswith(EVALUATION) and event.sequence_nr in self.forwards:
            event = self.forwards[event.sequence_nr]
        return event.cpu_parent

    def operations(self) -> Iterator[Event]:
        """The outermost operations that are not composed of others."""
        waiting = [self.step]
        while waiting:
            event = waiting.pop()
            inside = event.cpu_children
            is_composed = is_operation(event.name) and is_composite(event.name)
            if is_operation(event.name) and not (is_composed and any(is_operation(one.name) for one in inside)):
                yield event
            else:
                waiting += reversed(inside)


def profiled(
    step: Callable[[], object],
    module: nn.Module,
    activities: Sequence[ProfilerActivity] = (ProfilerActivity.CPU,),
    synchronize: Callable[[], None] = lambda: None,
    *,
    warm: int = 0,
) -> Profile:
    """Profiles one step.

    Args:
        step: what a workload does.
        module: whose submodules become ranges.
        activities: of the profiler.
        synchronize: waits until the step has ended on its device.
        warm: steps before it, since the profiler's first events take longer, and its start leaves the caches cold.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else each start and stop is a line on standard error
    paths = {submodule: path for path, submodule in module.named_modules() if path}
    with _named(paths), profile(activities=[*activities]) as profiler:
        for _ in range(warm):
            step()
        with record_function(STEP):
            out = step()
        synchronize()
        del out
    events = sorted(profiler.events(), key=lambda event: (event.time_range.start, -event.time_range.end))
    # Of the events with a node's number before its evaluation, the last one made the node.
    forwards = {
        event.sequence_nr: event
        for event in events
        if event.sequence_nr >= 0 and event.scope == FUNCTION and not event.name.startswith(EVALUATION)
    }
    begin = next(event.time_range.start for event in events if event.name == STEP)
    events = [event for event in events if event.time_range.start >= begin]
    return Profile(tuple(events), frozenset(paths.values()), forwards)


@contextmanager
def _named(paths: Mapping[nn.Module, str]) -> Iterator[None]:
    """Makes each call of these modules a range. The hooks are global: a hook of its own changes how a layer is run."""
    open_ranges: list[record_function] = []

    def enter(module: nn.Module, _: object) -> None:
        if module in paths:
            open_ranges.append(record_function(paths[module]))
            open_ranges[-1].__enter__()

    def leave(module: nn.Module, *_: object) -> None:
        if module in paths:
            open_ranges.pop().__exit__(None, None, None)

    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def overhead() -> Overhead:
    """Measures what the profiler takes here for an operation and for a range."""
    x, layer = torch.empty(1), nn.Identity()

    def times() -> tuple[float, float]:
        return _shortest(lambda: x.view(1)), _shortest(lambda: layer(x))

    plain = times()
    with _named({layer: "layer"}), profile(activities=[ProfilerActivity.CPU]):
        recorded = times()
    return Overhead(*(max(0.0, after - before) for before, after in zip(plain, recorded, strict=True)))


def _shortest(call: Callable[[], object]) -> float:
    """Seconds of one call, in the fastest of several loops."""
    loops = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        for _ in range(CALLS):
            call()
        loops.append((time.perf_counter() - begin) / CALLS)
    return min(loops)


def is_range(event: Event) -> bool:
    """Whether an event is a stage or a submodule."""
    return bool(event.is_user_annotation) and event.name != STEP and not event.name.startswith(MARK)


@cache
def is_operation(name: str) -> bool:
    """Whether there is an operation of this name, such as "aten::add"."""
    return _overload(name) is not None


@cache
def is_composite(name: str) -> bool:
    """Whether an operation only calls others."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(_overload(name).name(), COMPOSITE)


@cache
def is_view(name: str) -> bool:
    """Whether an operation moves nothing, since what it returns is what it is given."""
    aliases = [result.alias_info for result in _overload(name)._schema.returns]
    return bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)


def _overload(name: str) -> Any:
    """The operation's first overload, which stands for all of them; None if there is no such operation."""
    namespace, _, short = name.partition("::")
    packet = getattr(getattr(torch.ops, namespace), short, None) if short.isidentifier() else None
    return packet and getattr(packet, packet.overloads()[0])


def short_name(name: str) -> str:
    """An operation's name without its namespace."""
    return name.partition("::")[2].partition(".")[0]


def spans(profiles: Sequence[Profile]) -> Iterator[Span]:
    """What began when and took how long, of several steps one after the other; the shortest are left out."""
    origin = 0.0
    for one in profiles:
        start, end = one.step.time_range.start, one.step.time_range.end
        operations = set(map(id, one.operations()))
        for event in one.events:
            begin, length = origin + event.time_range.start - start, event.time_range.elapsed_us()
            if (kind := _kind(event, operations)) and length >= SHORTEST * (one.step.time_range.end - start):
                name = short_name(event.name) if kind == OPERATION else event.name
                yield Span(name, kind, one.within(event), begin / MICROSECONDS, length / MICROSECONDS)
                end = max(end, event.time_range.end)
        origin += end - start + APART


def _kind(event: Event, operations: Set[int]) -> str:
    """What an event is to a reader of the trace; empty: a part of an operation, or nothing of the step."""
    if event.device_type != DeviceType.CPU:
        return "" if event.is_user_annotation else KERNEL
    if id(event) in operations:
        return OPERATION
    return RANGE if is_range(event) or event.name == STEP or event.scope == BACKWARD else ""
