"""Memory traffic of one forward, counted operation by operation, and the minimum of any implementation.

An operation reads each of its tensors once and writes its results once; a view moves nothing. So a chain of operations
moves every grid, mask and window that it makes twice or more, a fused one none of them. What an operation reads again
from a cache, and the scratch inside it, do not count; nor does it matter that a gather may leave parts unread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from upsampler_bench.case import INFERENCE
from upsampler_bench.device import Device
from upsampler_bench.metrics import OPERATOR, roofline
from upsampler_bench.results import MetricInfo, Reading
from upsampler_bench.workloads.workload import Workload

MOVED = MetricInfo(
    "memory_traffic",
    "Memory traffic",
    "B",
    INFERENCE,
    exact=True,
    place=21,
    description="Bytes that the operations of one forward read and write: each its tensors once.",
)
MINIMUM = MetricInfo(
    "minimum_traffic",
    "Minimum traffic",
    "B",
    INFERENCE,
    bounds="memory_traffic",
    place=22,
    description="Inputs and parameters read once and the output written once: the bytes that the roofline time counts.",
)
INFOS = (MOVED, MINIMUM)
SUBJECT = OPERATOR
METHOD = "tensors of every operation of one eager forward"
# What makes a tensor without writing to it, and what writes to one without reading it.
UNWRITTEN = ("aten::empty", "aten::new_empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty_strided")
COMPOSITE = "CompositeImplicitAutograd"
OVERWRITES = ("aten::copy_", "aten::fill_", "aten::zero_")


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Counts over one forward."""
    with Traffic() as counted:
        workload.eager_forward()
    least = roofline.minimum_traffic(workload)
    return Reading(MOVED.name, ((counted.moved,),), METHOD), Reading(MINIMUM.name, ((least,),), "each tensor once")


class Traffic(TorchDispatchMode):
    """Adds up what operations read and write.

    Attributes:
        moved: bytes so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation, or those that it is made of, and takes account of them."""
        kwargs = kwargs or {}
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), COMPOSITE):
            with self:
                return func._op_dk(getattr(torch._C.DispatchKey, COMPOSITE), *args, **kwargs)
        out = func(*args, **kwargs)
        self.moved += _moved(func, args, kwargs, out)
        return out


def _moved(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    name = func._schema.name
    written = [one for value in _changed(func, args, kwargs) for one in _tensors(value)]
    overwritten = {_place(one) for one in written} if name in OVERWRITES or func._schema.is_mutable else set()
    if name not in OVERWRITES:  # in place: what is changed is read too, but where it is only said where to write
        overwritten -= {_place(one) for one in _tensors(args)}
    given = {_place(one): one for one in _tensors((args, kwargs))}
    known = {one.untyped_storage()._cdata for one in given.values()}
    made = [one for one in _tensors(out) if one.untyped_storage()._cdata not in known]
    if name in UNWRITTEN or not (made or written):
        return 0
    read = sum(_size(one) for place, one in given.items() if place not in overwritten)
    return read + sum(map(_size, made)) + sum(map(_size, written))


def _changed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
    """The arguments that an operation writes to."""
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield args[place] if place < len(args) else kwargs.get(argument.name)


def _tensors(values: Any) -> Iterator[Tensor]:
    return (one for one in tree_iter(values) if isinstance(one, Tensor))


def _place(one: Tensor) -> tuple[object, ...]:
    """What tells a tensor from others of the same storage."""
    return (one.untyped_storage()._cdata, one.storage_offset(), one.shape, one.stride())


def _size(one: Tensor) -> int:
    """Bytes of the elements that there are: what is expanded counts once."""
    sizes = (size for size, stride in zip(one.shape, one.stride(), strict=True) if stride or not size)
    return math.prod(sizes) * one.element_size()
