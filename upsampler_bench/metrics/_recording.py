"""Where the time of a step goes, operation by operation, and what is alive at its peak of memory.

Several runs of the same step are joined. A dispatch mode sees each operation's tensors, hence its bytes and
multiply-adds, but takes longer than small operations do. So the times on a CPU are of torch's profiler alone, and on a
GPU those of its kernels. Another mode counts live tensors. All name the range in which an operation ran: the submodule
that was called, or the stage that the operator names.
"""

from __future__ import annotations

import gc
import re
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, record_function
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from upsampler_bench import backends
from upsampler_bench.case import Case
from upsampler_bench.device import Device
from upsampler_bench.device.tensor_memory import LiveStorages
from upsampler_bench.metrics import _ranges, traffic
from upsampler_bench.metrics._ranges import MARK, MICROSECONDS, PROFILER, Overhead, Profile, profiled, short_name
from upsampler_bench.results import Live, MetricInfo, Part, Reading
from upsampler_bench.workloads.workload import Workload
from upsamplers import Upsampler

# Profiled steps: at least so many, and more in so many seconds.
STEPS, MOST_STEPS, SECONDS = 6, 30, 2.0
# Calls of a slow step that a profile takes: four for each profiled one, and three that are recorded.
CALLS = 4 * STEPS + 3
# The last steps, which are stored event by event.
TRACED = 2
BETWEEN = "between operations"
# Operations that move nothing: what they take is the host's time.
VIEW = "views"
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
# Of a CUDA kernel's name: what stands around the part that a person would search for.
NOISE = re.compile(r"void |\(anonymous namespace\)::|at::|native::|cuda::|<.*|\(.*")
Facts = dict[str, float | str]


@dataclass(slots=True)
class Operation:
    """What one operation of a step costs.

    Attributes:
        name: without its namespace and overload.
        outer: the name of the composite operation that it is a part of, or its own.
        traffic: bytes that it reads and writes, each tensor once.
        multiply_adds: of products and convolutions.
        within: the range that it ran in.
    """

    name: str
    outer: str
    traffic: int
    multiply_adds: int
    within: str = ""


class Recorder(TorchDispatchMode):
    """Records the operations that run under it, in their order, and marks each for the profiler.

    Attributes:
        operations: so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.operations: list[Operation] = []
        self._composite = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation, or those that it is composed of, and records them."""
        kwargs = kwargs or {}
        if func.namespace == PROFILER:
            return func(*args, **kwargs)
        name = short_name(func.name())
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), traffic.COMPOSITE):
            outermost, self._composite = self._composite, self._composite or name
            try:
                with self:
                    return func._op_dk(getattr(torch._C.DispatchKey, traffic.COMPOSITE), *args, **kwargs)
            finally:
                self._composite = outermost
        with record_function(f"{MARK}{len(self.operations)}"):
            out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        flops = formula(*args, **kwargs, out_val=out) if formula else 0
        moved = traffic.moved(func, args, kwargs, out)
        self.operations.append(Operation(name, self._composite or name, moved, int(flops) // 2))
        return out


class Makers(LiveStorages):
    """Counts live storages, and marks the operations that make them for the profiler.

    Attributes:
        names: of the operations so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation and counts the storages it made."""
        if func.namespace == PROFILER:
            return func(*args, **(kwargs or {}))
        self.names.append(short_name(func.name()))
        with record_function(f"{MARK}{len(self.names)}"):
            return super().__torch_dispatch__(func, types, args, kwargs)


def info(name: str, title: str, mode: str, what: str, place: int) -> MetricInfo:
    """The column of a profile: the sum of its parts."""
    description = (
        f"Time of the operations of {what}, added up. On a CPU with that between operations, on a GPU without it."
    )
    return MetricInfo(name, title, "s", mode, place=place, description=description)


def applies(case: Case) -> bool:
    """Whether torch runs the operations one by one, and no compiler or engine does."""
    return not hasattr(backends.get(case.backend), "prepare")


def reading(metric: str, workload: Workload, device: Device) -> Reading:
    """Profiles a workload's step."""
    step, module = workload.step, workload.module
    _recorded(step, module)  # what only the first call does
    if device.kind == "cpu":
        steps, traced, facts = _on_cpu(step, module)
        method = "torch.profiler without its own time"
    else:
        kinds = ProfilerActivity.CPU, ProfilerActivity.CUDA
        recorded = [_recorded(step, module, kinds, device.synchronize) for _ in range(STEPS)]
        steps = [_by_kernel(operations, recording.events) for operations, recording in recorded]
        traced = [profiled(step, module, kinds, device.synchronize) for _ in range(TRACED)]
        method, facts = "kernels by CUPTI", Facts()
    return Reading(
        metric,
        tuple((sum(part.seconds for part in parts),) for parts in steps),
        f"operations of single steps, {method}",
        facts=facts | _upsamplers(workload),
        parts=_middle(steps),
        live=tuple(_live(workload)),
        spans=tuple(_ranges.spans(traced)),
    )


def _recorded(
    step: Callable[[], object],
    module: nn.Module,
    activities: Sequence[ProfilerActivity] = (ProfilerActivity.CPU,),
    synchronize: Callable[[], None] = lambda: None,
) -> tuple[list[Operation], Profile]:
    """What the operations of a step cost, and the profiler's events meanwhile."""
    recorder = Recorder()

    def recorded_step() -> None:
        with recorder:
            step()

    recording = profiled(recorded_step, module, activities, synchronize)
    for event in recording.events:
        if event.name.startswith(MARK):
            recorder.operations[int(event.name.removeprefix(MARK))].within = recording.within(event)
    return recorder.operations, recording


def _on_cpu(step: Callable[[], object], module: nn.Module) -> tuple[list[list[Part]], list[Profile], Facts]:
    """The parts of steps, the last of these steps, and how long the same steps took in between without the profiler.

    What the profiler allocates fragments the heap: some steps then get memory that the process never touched, and its
    page faults make them up to three times as long. The half of the steps with the fewest new pages counts.
    """
    costs, _ = _recorded(step, module)
    overhead = _ranges.overhead()
    steps: list[tuple[int, float, list[Part]]] = []  # new pages, seconds without the profiler, parts
    traced: list[Profile] = []
    end = time.perf_counter() + SECONDS
    gc.freeze()  # what lives already is not looked through again for each step
    try:
        while len(steps) < STEPS or (len(steps) < MOST_STEPS and time.perf_counter() < end):
            gc.collect()  # else the events of steps before stay alive
            step()
            pages, begin = _new_pages(), time.perf_counter()
            out = step()
            seconds = time.perf_counter() - begin
            del out
            traced = [*traced, profiled(step, module, warm=1)][-TRACED:]
            steps.append((_new_pages() - pages, seconds, _by_operation(costs, traced[-1], overhead)))
    finally:
        gc.unfreeze()
    most = median(pages for pages, _, _ in steps)
    steps = [one for one in steps if one[0] <= most]
    return [parts for _, _, parts in steps], traced, {"unrecorded": median(seconds for _, seconds, _ in steps)}


def _new_pages() -> int:
    """How many page faults of new memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _by_operation(costs: Sequence[Operation], timed: Profile, overhead: Overhead) -> list[Part]:
    """A part for each operation and range of a profiled step, and one for the time between operations.

    What the profiler takes for the events within an operation is subtracted from its time, the rest from that between.
    """
    parts: dict[tuple[str, str], Part] = {}
    events, total = 0, 0.0
    for event in timed.operations():
        name = VIEW if _ranges.is_view(event.name) else short_name(event.name)
        inside = _descendants(event)
        seconds = max(0.0, event.time_range.elapsed_us() / MICROSECONDS - inside * overhead.event)
        part = Part(name, category(name), timed.within(event), 1, seconds)
        key = part.name, part.within
        parts[key] = parts[key].plus(part) if key in parts else part
        events, total = events + inside, total + event.time_range.elapsed_us() / MICROSECONDS
    for one in costs:
        name = one.name if (one.name, one.within) in parts else one.outer
        if (name, one.within) in parts:
            cost = Part(name, "", one.within, 0, 0.0, one.traffic, one.multiply_adds)
            parts[name, one.within] = parts[name, one.within].plus(cost)
    all_events, ranges = _descendants(timed.step), sum(map(_ranges.is_range, timed.events))
    own = (all_events - events - ranges) * overhead.event + ranges * overhead.range
    between = timed.step.time_range.elapsed_us() / MICROSECONDS - total - own
    return [*parts.values(), Part(BETWEEN, BETWEEN, "", 0, max(0.0, between))]


def _descendants(event: Any) -> int:
    count, waiting = 0, [event]
    while waiting:
        inside = waiting.pop().cpu_children
        count += len(inside)
        waiting += inside
    return count


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
            costs = (one.traffic, one.multiply_adds) if place == 0 else (0, 0)
            if seconds or costs[1]:
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
    """What is called the same in the same range as one part, its time the median over the steps."""
    by_step = []
    for step in steps:
        sums: dict[tuple[str, str, str], Part] = {}
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


def _upsamplers(workload: Workload) -> Facts:
    """Of a model, the paths of its upsamplers."""
    if not workload.case.model:
        return {}
    named = workload.module.named_modules()
    return {"upsamplers": " ".join(path for path, module in named if isinstance(module, Upsampler))}


def _live(workload: Workload) -> Iterator[Live]:
    """What is alive at the peak of the step that memory is counted over, largest first."""
    makers = Makers()

    def counted_step() -> None:
        with makers:
            workload.step_for_memory(lambda: None)

    recording = profiled(counted_step, workload.module)
    found: Counter[tuple[str, str]] = Counter()
    for event in recording.events:
        if event.name.startswith(MARK):
            number = int(event.name.removeprefix(MARK))
            if makers.at_peak[number]:
                found[makers.names[number - 1], recording.within(event)] += makers.at_peak[number]
    for (name, within), size in found.most_common():
        yield Live(name, within, size)


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
