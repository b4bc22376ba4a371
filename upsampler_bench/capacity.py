"""The largest square input, or upsampling factor, whose forward or training step fits in a given memory.

The bytes of a step are counted under FakeTensorMode, which needs neither memory nor the device, and confirmed by a real
step where the device is present (docs/decisions/0016-choosing.md). torch is imported where something is counted.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from upsampler_bench.case import TORCH, TRAIN, Case, Settings
from upsampler_bench.errors import DeviceError

if TYPE_CHECKING:
    from torch import nn

    from upsampler_bench.device import Device
    from upsampler_bench.workloads.workload import Workload

ITEMSIZE = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}
COUNTED, EXTRAPOLATED = "counted", "counted on strips of full width, extrapolated"
# What is searched: H = W at a factor, or the factor at an H = W.
SIDE, SCALE = "side", "scale"
SIDES = range(1, 2**20)
# Powers of two, and what patches of 7 and 14 pixels take.
SCALES = (2, 4, 7, 8, 14, 16, 28, 32, 56, 64, 112, 128)
# Where the search of a side begins; and how near to the largest it ends, as a share of the side.
START, PRECISION = 64, 1 / 256
# Bytes of output from which on a CPU's blocks no longer grow, so that the peak is linear in the height.
LINEAR_FROM = 64 * 2**20
# Elements of the output in a step that confirms on a CPU: about a second for a slow operator.
CONFIRMED_ELEMENTS = 256 * 192**2
# Shares of the counted side that are tried on a GPU until a step fits.
SHARES = (1.0, 0.98, 0.92, 0.82)


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of one step: of the parameters (buffers included), of the inputs, and the peak beyond both."""

    parameters: int
    inputs: int
    peak: int

    @property
    def total(self) -> int:
        """The memory that the step needs."""
        return self.parameters + self.inputs + self.peak


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A real step: bytes counted and measured.

    Attributes:
        case: what was executed.
        measured: None where the step failed.
        reason: why it failed; else empty.
    """

    case: Case
    predicted: int
    measured: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The largest H = W, or factor, of one operator in one mode.

    Attributes:
        case: at that size.
        need: at that size; None: no size fits.
        method: how `need` was found.
        confirmation: a real step; None where it was not requested or the device is not present.
        reason: why no size fits; else empty.
    """

    case: Case
    need: Need | None = None
    method: str = ""
    confirmation: Confirmation | None = None
    reason: str = ""


def resolve(name: str) -> tuple[str, bool]:
    """The device to count for, and whether it is present: a GPU need not be.

    Raises:
        DeviceError: there is no device of that name.
    """
    from upsampler_bench import device

    try:
        resolved = device.resolve(name)
    except DeviceError:
        kind, _, index = name.partition(":")
        if kind != "cuda" or not (index.isdecimal() or name == kind):
            raise
        return f"cuda:{index or 0}", False
    return resolved, True


def largest_here(case: Case, *, memory: int, over: str, confirm: bool) -> Capacity:
    """`largest`, confirmed on the case's device if so wanted: a question for `isolated.ask`."""
    from upsampler_bench import device

    return largest(case, memory, device.create(case.device, Settings(cache="warm")) if confirm else None, over)


def largest(case: Case, memory: int, device: Device | None, over: str = SIDE) -> Capacity:
    """The largest H = W or factor of a case that fits in `memory` bytes, confirmed on the device where one is given.

    An operator that fails has no size; the error is the reason.

    Args:
        case: at any size.
        memory: bytes.
        device: None: nothing is executed.
        over: SIDE, or SCALE: those of SCALES that the operator takes.
    """
    try:
        sizes = SIDES if over == SIDE else _scales(case)
        capacity = _search(case, over, sizes, memory)
        return _confirm(capacity, over, sizes, memory, device) if device and capacity.need else capacity
    except Exception as problem:
        return Capacity(case, reason=_message(problem))


def _scales(case: Case) -> Sequence[int]:
    import upsamplers

    takes = upsamplers.get(case.upsampler).why_not
    scales = [scale for scale in SCALES if takes(scale=scale) is None]
    if not scales:
        raise upsamplers.Unsupported(takes(scale=SCALES[0]))
    return scales


def size_of(case: Case, over: str) -> int:
    """Its H = W or its factor."""
    return case.scale if over == SCALE else case.height


def _at(case: Case, over: str, size: int) -> Case:
    return replace(case, scale=size) if over == SCALE else replace(case, height=size, width=size)


def _search(case: Case, over: str, sizes: Sequence[int], memory: int) -> Capacity:
    """Narrows the size between one that fits and one that does not; guesses the next from the bytes per pixel."""
    largest, fits, too_large = Capacity(case), -1, len(sizes)
    index = START - 1 if over == SIDE else 0
    while True:
        at_size = _at(case, over, sizes[index])
        need, method = needed(at_size)
        if need.total <= memory:
            largest, fits = Capacity(at_size, need, method), index
        else:
            too_large = index
        margin = 1 + int(max(fits, 0) * PRECISION)
        if too_large - fits <= margin:
            break
        growth = max(memory - need.parameters, 0) / (need.inputs + need.peak)
        index = bisect_right(sizes, sizes[index] * math.sqrt(growth)) - 1
        if not fits < index < too_large:
            index = fits + margin if too_large == len(sizes) else (fits + too_large) // 2
    smallest = "1×1" if over == SIDE else f"×{sizes[0]}"
    return largest if largest.need else replace(largest, reason=f"{smallest} needs {need.total:,} bytes")


def needed(case: Case) -> tuple[Need, str]:
    """What one step of a case needs, and how it was found: counted, or on a CPU extrapolated from two strips of it."""
    import upsamplers

    row = case.batch * case.channels * case.width * case.scale**2 * ITEMSIZE[case.dtype]
    height = max(-(-LINEAR_FROM // row), upsamplers.get(case.upsampler).cls.least_size)
    if case.device != "cpu" or 3 * height >= case.height:
        return count(case), COUNTED
    low, high = (count(replace(case, height=rows)) for rows in (height, 2 * height))
    more = case.height - height
    inputs = low.inputs + (high.inputs - low.inputs) * more // height
    return Need(low.parameters, inputs, low.peak + (high.peak - low.peak) * more // height), EXTRAPOLATED


def count(case: Case) -> Need:
    """Counts one step of a case under FakeTensorMode: the same bytes as a real step's, for every registered operator.

    Raises:
        upsamplers.UpsamplerError: the operator refuses the case.
        Exception: whatever the operator raises, also because it reads values, of which there are none.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    import upsamplers
    from upsampler_bench.device.tensor_memory import LiveStorages
    from upsampler_bench.workloads.workload import DTYPES

    kind = case.device.partition(":")[0]
    if reason := upsamplers.get(case.upsampler).why_not(scale=case.scale, device=kind):
        raise upsamplers.Unsupported(reason)
    # Operators take the same path for meta tensors as on a GPU, and torch without CUDA has no fake CUDA tensors.
    device = torch.device("cpu" if kind == "cpu" else "meta")
    with device:
        module = upsamplers.create(case.upsampler, case.channels, scale=case.scale, backend=TORCH)
        module = module.to(dtype=DTYPES[case.dtype]).train(case.mode == TRAIN)
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        as_fake: Any = fake.from_tensor
        for part in module.modules():
            for tensors in (part._parameters, part._buffers):
                tensors.update({name: as_fake(real) for name, real in tensors.items() if real is not None})
        workload = _workload(case, module, device)
        with LiveStorages() as storages:
            out = workload.step_for_memory(storages.mark)
        del out
        return _need(workload, storages.peak)


def measure(case: Case, device: Device) -> Need:
    """Measures one real step of a case.

    Raises:
        upsamplers.UpsamplerError: the operator refuses the case.
        RuntimeError, MemoryError: it does not fit.
    """
    import torch

    from upsampler_bench.workloads.workload import make

    workload = _workload(case, make(case, Settings()), torch.device(case.device))
    return _need(workload, device.peak(workload.step_for_memory).peak)


def _workload(case: Case, module: nn.Module, device: Any) -> Workload:
    """The operator with contiguous inputs of its own."""
    from upsampler_bench.workloads.workload import DTYPES, Workload

    size = (case.batch, case.height, case.width)
    inputs: tuple[Any, ...] = module.example_inputs(*size, device=device, dtype=DTYPES[case.dtype])  # type: ignore[operator]
    if case.mode == TRAIN:
        inputs = tuple(tensor.requires_grad_() if tensor.is_floating_point() else tensor for tensor in inputs)
    return Workload(case, module, module, inputs)


def _need(workload: Workload, peak: int) -> Need:
    parameters = [*workload.module.parameters(), *workload.module.buffers()]
    # Guides may share their storage with x.
    inputs = {id(storage): storage for storage in (tensor.untyped_storage() for tensor in workload.inputs)}
    return Need(
        sum(tensor.untyped_storage().nbytes() for tensor in parameters),
        sum(storage.nbytes() for storage in inputs.values()),
        peak,
    )


def _confirm(capacity: Capacity, over: str, sizes: Sequence[int], memory: int, device: Device) -> Capacity:
    """Takes a real step: on a CPU one of about a second, on a GPU at the size found or a smaller that fits."""
    import upsamplers

    case, found = capacity.case, size_of(capacity.case, over)
    if device.kind == "cpu":
        affordable = found * math.sqrt(CONFIRMED_ELEMENTS / case.elements)
        size = sizes[max(0, bisect_right(sizes, min(found, affordable)) - 1)]
        if over == SIDE:
            size = max(size, upsamplers.get(case.upsampler).cls.least_size)
        return replace(capacity, confirmation=_real_step(_at(case, over, size), device))
    smaller = [max(1, int(found * share)) for share in SHARES]
    for size in smaller if over == SIDE else reversed(sizes[: sizes.index(found) + 1]):
        device.release()
        step = _real_step(_at(case, over, size), device)
        if step.measured is not None and step.measured <= memory:
            return replace(capacity, case=step.case, need=needed(step.case)[0], confirmation=step)
    return replace(capacity, confirmation=step)


def _real_step(case: Case, device: Device) -> Confirmation:
    from upsampler_bench.device import OUT_OF_MEMORY_ERRORS

    predicted = needed(case)[0].total
    try:
        return Confirmation(case, predicted, measure(case, device).total)
    except OUT_OF_MEMORY_ERRORS:
        return Confirmation(case, predicted, reason="out of memory")
    except RuntimeError as problem:
        return Confirmation(case, predicted, reason=_message(problem))


def _message(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    is_ours = type(problem).__module__.startswith("upsamplers")
    return text if is_ours else f"{type(problem).__name__}: {text[:160]}"
