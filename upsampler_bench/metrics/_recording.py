"""Records the operations of a step one by one: time, bytes, multiply-adds, and which module they belong to."""

from __future__ import annotations

import re
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry
from torch.utils.module_tracker import ModuleTracker

from upsampler_bench.case import Case
from upsampler_bench.device import Device
from upsampler_bench.metrics import traffic
from upsampler_bench.results import MetricInfo, Part, Reading
from upsampler_bench.workloads.workload import Workload

STEPS = 5
MARK = "operation "
# What an operation is, by a part of its name; the first that fits, else ELEMENTWISE.
CATEGORIES = {
    "convolution": ("conv",),
    "sampling": ("grid_sampler", "sample", "interpolate", "attended"),
    "product": ("mm", "matmul", "dot", "linear", "embedding_bag"),
    "softmax": ("softmax", "window_weights"),
    "norm": ("norm",),
    "window sum": ("window", "affinity"),
    "reduction": ("sum", "mean", "var", "amax", "max", "pool"),
    "copy": (
        "copy", "clone", "cat", "stack", "shuffle", "index", "gather", "scatter", "pad", "fill", "zero", "ones",
        "empty", "full", "arange",
    ),
}  # fmt: skip
ELEMENTWISE = "elementwise"
# Operations that move nothing: what they take is the host's time.
VIEW = "views"
# Of a CUDA kernel's name: what stands around the part that a person would search for.
NOISE = re.compile(r"void |\(anonymous namespace\)::|at::|native::|cuda::|<.*|\(.*")


@dataclass(slots=True)
class Operation:
    """One operation of a step.

    Attributes:
        name: without its namespace and overload.
        within: the path of the innermost module that called it; empty: the outermost.
        seconds: on the host's clock around it.
        traffic: bytes that it reads and writes, each tensor once.
        multiply_adds: of products and convolutions.
        live: bytes that it made and that were alive when most were.
    """

    name: str
    within: str
    seconds: float
    traffic: int
    multiply_adds: int
    live: int = 0


class Recorder(TorchDispatchMode):
    """Records the operations that run under it, in their order.

    Attributes:
        operations: so far.
    """

    def __init__(self, tracker: ModuleTracker) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.operations: list[Operation] = []
        self._tracker = tracker
        # By storage: its size, and the operation that made it.
        self._live: dict[int, tuple[int, int]] = {}
        self._now = self._peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation, or those that it is composed of, and records them."""
        kwargs = kwargs or {}
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), traffic.COMPOSITE):
            with self:
                return func._op_dk(getattr(torch._C.DispatchKey, traffic.COMPOSITE), *args, **kwargs)
        known = {storage._cdata for storage in _storages((args, kwargs))}
        with record_function(f"{MARK}{len(self.operations)}"):
            begin = time.perf_counter()
            out = func(*args, **kwargs)
            seconds = time.perf_counter() - begin
        formula = flop_registry.get(func._overloadpacket)
        flops = formula(*args, **kwargs, out_val=out) if formula else 0
        name = func._schema.name.partition("::")[2]
        moved = traffic.moved(func, args, kwargs, out)
        if not moved and not flops and func._schema.name not in traffic.UNWRITTEN:
            name = VIEW
        self.operations.append(Operation(name, self._within(), seconds, moved, int(flops) // 2))
        for storage in _storages(out):
            if storage._cdata not in known:
                self._follow(storage)
        return out

    def _within(self) -> str:
        innermost = max(self._tracker.parents - {"Global"}, key=len, default="")
        return innermost.partition(".")[2]

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._live:
            return
        self._live[key] = size, len(self.operations) - 1
        weakref.finalize(storage, self._drop, key, size)
        self._now += size
        if self._now > self._peak:
            self._peak = self._now
            for operation in self.operations:
                operation.live = 0
            for made, index in self._live.values():
                self.operations[index].live += made

    def _drop(self, key: int, size: int) -> None:
        del self._live[key]
        self._now -= size


def info(name: str, title: str, mode: str, what: str, place: int) -> MetricInfo:
    """The column of a profile: the sum of its parts."""
    description = f"Time of the operations of {what}, added up; without what the host does between them."
    return MetricInfo(name, title, "s", mode, place=place, description=description)


def applies(case: Case) -> bool:
    """Whether torch runs the operations one by one, and no compiler or engine does."""
    return case.backend in ("torch", "triton", "auto")


def reading(metric: str, workload: Workload, device: Device) -> Reading:
    """Records a workload's step."""
    steps = _steps(workload.step, device)
    parts = _middle(steps)
    method = f"operations of {STEPS} steps one by one, {'kernels by CUPTI' if device.kind == 'cuda' else 'host clock'}"
    return Reading(metric, tuple((sum(part.seconds for part in step),) for step in steps), method, parts=parts)


def _steps(step: Callable[[], object], device: Device) -> list[list[Part]]:
    """The parts of some steps, operation by operation; on a GPU kernel by kernel."""
    _recorded(step)  # what only the first call does
    if device.kind == "cpu":
        return [_by_operation(_recorded(step)) for _ in range(STEPS)]
    steps = []
    for _ in range(STEPS):
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            operations = _recorded(step)
            device.synchronize()
        steps.append(_by_kernel(operations, profiler.events()))
    return steps


def _recorded(step: Callable[[], object]) -> list[Operation]:
    with ModuleTracker() as tracker:
        recorder = Recorder(tracker)
        with recorder:
            step()
    return recorder.operations


Key = tuple[str, str, str]


def _by_operation(operations: Sequence[Operation]) -> list[Part]:
    return [
        Part(one.name, category(one.name), one.within, 1, one.seconds, one.traffic, one.multiply_adds, one.live)
        for one in operations
    ]


def _by_kernel(operations: Sequence[Operation], events: Iterable[Any]) -> list[Part]:
    """A part for each kernel; what its operation moves and multiplies counts with the longest of its kernels."""
    launched: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for event in events:
        if event.kernels and (index := _operation_of(event)) is not None:
            launched[index] += [(kernel_name(kernel.name), kernel.duration / 1e6) for kernel in event.kernels]
    parts = []
    for index, one in enumerate(operations):
        kernels = sorted(launched[index], key=lambda kernel: -kernel[1]) or [(one.name, 0.0)]
        for place, (name, seconds) in enumerate(kernels):
            costs = (one.traffic, one.multiply_adds, one.live) if place == 0 else (0, 0, 0)
            if seconds or any(costs[1:]):
                parts.append(Part(name, category(one.name), one.within, int(seconds > 0), seconds, *costs))
    return parts


def _operation_of(event: Any) -> int | None:
    """The number of the operation within which an event of the host lies."""
    while event is not None:
        if event.name.startswith(MARK):
            return int(event.name.removeprefix(MARK))
        event = event.cpu_parent
    return None


def _middle(steps: Sequence[Sequence[Part]]) -> tuple[Part, ...]:
    """What is called the same in the same module as one part, its time the median over the steps."""
    by_step = []
    for step in steps:
        sums: dict[Key, Part] = {}
        for part in step:
            key = part.name, part.category, part.within
            known = sums.get(key)
            sums[key] = part if known is None else known.plus(part)
        by_step.append(sums)
    middle = [
        replace(part, seconds=median(sums[key].seconds if key in sums else 0.0 for sums in by_step))
        for key, part in by_step[-1].items()
    ]
    return tuple(sorted(middle, key=lambda part: -part.seconds))


def category(operation: str) -> str:
    """What kind of work an operation does, from its name."""
    if operation == VIEW:
        return VIEW
    for name, words in CATEGORIES.items():
        if any(word in operation for word in words):
            return name
    return ELEMENTWISE


def kernel_name(name: str) -> str:
    """A CUDA kernel's name without namespaces, template arguments and parameters."""
    functor = re.search(r"(\w+)Functor|(\w+_kernel)_cuda", name)
    short = NOISE.sub("", name).rpartition("::")[2] or name
    return f"{short} ({next(filter(None, functor.groups()))})" if functor else short


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    return (value.untyped_storage() for value in tree_iter(values) if isinstance(value, torch.Tensor))
