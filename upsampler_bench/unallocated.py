"""What a step needs, counted without memory: tensors of torch's meta device that say they are on another.

Operators choose their blocks by the device that a tensor says it is on, so that a meta tensor that says "cpu" goes the
way of a CPU tensor. Torch's FakeTensorMode does the same, ten to thirty times as slowly: too slow for an operator that
cuts a large feature into thousands of blocks. That the count is that of real tensors, to the byte, is tested for every
operator in both modes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import upsamplers
from upsampler_bench.case import TRAIN, Case
from upsampler_bench.device.tensor_memory import LiveStorages
from upsampler_bench.sizes import Need
from upsampler_bench.workloads.workload import DTYPES, Workload

META, CPU = torch.device("meta"), torch.device("cpu")
_ATEN = torch.ops.aten
# Where x and the weight stand among the arguments.
_CONVOLUTIONS = {
    _ATEN.convolution.default: (0, 1),
    _ATEN.conv2d.default: (0, 1),
    _ATEN.conv_transpose2d.input: (0, 1),
    _ATEN.convolution_backward.default: (1, 2),
}


def need(case: Case) -> Need:
    """What one step of a case needs.

    Raises:
        upsamplers.UpsamplerError: the operator refuses the case.
        Exception: whatever the operator raises, also because it looks at values, of which there are none.
    """
    kind = case.device.partition(":")[0]
    if reason := upsamplers.get(case.upsampler).why_not(scale=case.scale, device=kind):
        raise upsamplers.Unsupported(reason)
    with META:
        module = upsamplers.create(case.upsampler, case.channels, scale=case.scale)
        module = module.to(dtype=DTYPES[case.dtype]).train(case.mode == TRAIN)
        with _Elsewhere(kind):
            work = assembled(case, module, META)
            with LiveStorages() as storages:
                out = work.step_for_memory(storages.mark)
            del out
    return held(work, storages.peak)


def held(work: Workload, peak: int) -> Need:
    """What a workload needs whose step has this peak."""
    return Need(size([*work.module.parameters(), *work.module.buffers()]), size(work.inputs), peak)


def assembled(case: Case, module: nn.Module, device: torch.device) -> Workload:
    """The operator with inputs of its own, and no more than it takes: contiguous, made where they are read."""
    kind: dict[str, Any] = {"dtype": DTYPES[case.dtype], "device": device}
    inputs: tuple[Tensor, ...] = (torch.rand(case.batch, case.channels, case.height, case.width, **kind),)
    if upsamplers.get(case.upsampler).needs_guide:
        shape = (case.batch, case.channels, case.scale * case.height, case.scale * case.width)
        with torch.no_grad():
            inputs = (*inputs, module.make_guide(torch.rand(shape, **kind)))  # type: ignore[operator]
    if case.mode == TRAIN:
        inputs = tuple(one.requires_grad_() if one.is_floating_point() else one for one in inputs)
    return Workload(case, module, module, inputs)


def size(tensors: Any) -> int:
    """The bytes of these tensors, what they share counted once."""
    storages = {id(one.untyped_storage()): one.untyped_storage() for one in tensors}
    return sum(one.nbytes() for one in storages.values())


class _Elsewhere(TorchDispatchMode):
    """Within it meta tensors say that they are on a CPU, where this is asked for; what is made there is made on meta.

    A dispatch mode, since autograd leaves function modes behind when it calls a backward written in Python.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        # Without a GPU's torch nothing can say that it is on one; operators take "meta" for not being on a CPU.
        self._is_cpu = self._speaks = kind == CPU.type

    def __enter__(self) -> Any:
        torch.Tensor.device = property(self._device)  # type: ignore[assignment]
        return super().__enter__()  # type: ignore[no-untyped-call,unused-ignore]

    def __exit__(self, *problem: Any) -> Any:
        del torch.Tensor.device
        return super().__exit__(*problem)  # type: ignore[no-untyped-call,unused-ignore]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation on meta, and makes its results those of the device."""
        given = kwargs or {}
        if given.get("device") is not None:
            given = {**given, "device": META}
        # Torch's own meta functions make their results where they see their arguments.
        before, self._speaks = self._speaks, False
        try:
            out = _laid_out(func, args, func(*args, **given))
            correct = _ON_CPU.get(func) if self._is_cpu else None
            return correct(args, out) if correct else out
        finally:
            self._speaks = before

    def _device(self, tensor: Tensor) -> torch.device:
        found: torch.device = torch._C.TensorBase.device.__get__(tensor)
        return CPU if self._speaks and found == META else found


def _laid_out(func: Any, args: Any, out: Any) -> Any:
    """On meta a convolution's results are contiguous; on devices they are laid out as x or the weight is."""
    places = _CONVOLUTIONS.get(func)
    if places is None or not any(_is_channels_last(args[place]) for place in places):
        return out
    if isinstance(out, Tensor):
        return out.to(memory_format=torch.channels_last)
    return tuple(
        one.to(memory_format=torch.channels_last) if one is not None and one.dim() == 4 else one for one in out
    )


def _is_channels_last(one: Tensor) -> bool:
    return one.dim() == 4 and one.is_contiguous(memory_format=torch.channels_last) and not one.is_contiguous()


def _bags(args: Any, out: Any) -> Any:
    """A sum over bags on a CPU keeps which bag an index is in for float64 alone, and has a place for maxima."""
    sums, bags, sizes, _ = out
    kept = bags.new_empty(len(bags) + 1)[:-1] if sums.dtype == torch.float64 else bags.new_empty(0)
    return sums, kept, sizes, sizes.new_empty(sizes.shape)


def _statistics(args: Any, out: Any) -> Any:
    """A batch norm on a CPU keeps its statistics in the weight's dtype, not in float32."""
    normed, *kept = out
    weight = args[1]
    return normed, *(one if weight is None else one.to(weight.dtype) for one in kept)


_ON_CPU: dict[Any, Callable[[Any, Any], Any]] = {
    _ATEN.embedding_bag.padding_idx: _bags,
    _ATEN._embedding_bag.default: _bags,
    _ATEN._embedding_bag_forward_only.default: _bags,
    _ATEN.native_batch_norm.default: _statistics,
}
