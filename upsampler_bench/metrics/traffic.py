"""Memory traffic of one forward, counted operation by operation, and the minimum of any implementation.

An operation reads each of its tensors once and writes its results once; a view moves nothing. So a chain of operations
moves every grid, mask and window that it makes at least twice, one kernel for all none of them. Repeated reads from a
cache and scratch memory inside an operation are not counted; a gather counts its whole input, even if it reads a part.
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
    description="Bytes that the operations of one forward read and write, each tensor once per operation.",
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
# Operations that make a tensor without writing to it, and those that write to one without reading it.
UNWRITTEN = ("aten::empty", "aten::new_empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty_strided")
COMPOSITE = "CompositeImplicitAutograd"
OVERWRITES = ("aten::copy_", "aten::fill_", "aten::zero_")


def measure(workload: Workload, device: Device) -> tuple[Reading, ...]:
    """Counts one forward."""
    with Traffic() as traffic:
        workload.eager_forward()
    minimum = roofline.minimum_traffic(workload)
    notes = () if workload.is_eager else ("counted on the eager form",)
    moved = Reading(MOVED.name, ((traffic.moved,),), METHOD, notes)
    return moved, Reading(MINIMUM.name, ((minimum,),), "each tensor once")


class Traffic(TorchDispatchMode):
    """Adds up what operations read and write.

    Attributes:
        moved: bytes so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation, or those that it is composed of, and counts them."""
        kwargs = kwargs or {}
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), COMPOSITE):
            with self:
                return func._op_dk(getattr(torch._C.DispatchKey, COMPOSITE), *args, **kwargs)
        out = func(*args, **kwargs)
        self.moved += moved(func, args, kwargs, out)
        return out


def moved(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Bytes that one operation reads and writes."""
    name = func._schema.name
    written = list(_written(func, args, kwargs))
    inputs = {_key(tensor): tensor for tensor in _tensors((args, kwargs))}
    storages = {tensor.untyped_storage()._cdata for tensor in inputs.values()}
    made = [tensor for tensor in _tensors(out) if tensor.untyped_storage()._cdata not in storages]
    if name in UNWRITTEN or not (made or written):
        return 0
    unread = {_key(tensor) for tensor in written}
    if name not in OVERWRITES:  # a tensor changed in place is read too, one given as `out=` is not
        unread -= {_key(tensor) for tensor in _tensors(args)}
    read = [tensor for key, tensor in inputs.items() if key not in unread]
    return sum(map(_size, (*read, *made, *written)))


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    """The tensors among its arguments that an operation writes to."""
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from _tensors(args[position] if position < len(args) else kwargs.get(argument.name))


def _tensors(values: Any) -> Iterator[Tensor]:
    return (value for value in tree_iter(values) if isinstance(value, Tensor))


def _key(tensor: Tensor) -> tuple[object, ...]:
    """What distinguishes a tensor from others of the same storage."""
    return (tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.shape, tensor.stride())


def _size(tensor: Tensor) -> int:
    """Bytes of its elements; those along an expanded dimension are the same and count once."""
    sizes = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size)
    return math.prod(sizes) * tensor.element_size()
