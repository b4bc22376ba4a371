"""What every Triton operation needs to be launched: what it accepts, its block sizes, and its tensors' layouts."""

from __future__ import annotations

import importlib
import inspect
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from upsamplers.errors import Unsupported

# How the logits of a window become weights.
SOFTMAX, SIGMOID_SOFTMAX, PLAIN = range(3)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
LARGEST_KERNEL = 11
# Taps times output pixels of an input pixel, which one program holds for all its pixels.
LARGEST_CELL = 2048
# Programs along the third axis of a CUDA grid.
MOST_IMAGES = 65535
# Offsets of so many elements do not fit 32 bits, nor do numbers of so many pixels.
NARROW = 2**31
MOST_PIXELS = 2**31
# Fuses a product and its sum into one instruction, as torch's own kernels do; later versions of triton need the option.
OPTIONS = {"enable_fp_fusion": True}
T = TypeVar("T", bound="TritonOperator")


def is_interpreted() -> bool:
    """Whether triton runs kernels on the CPU, one program after the other."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes", "y")


class TritonOperator:
    """A base in front of an operator's class: imports its operations when one is created or unpickled.

    Raises:
        Unsupported: triton is not installed.
    """

    OPERATIONS: ClassVar[str]

    def __new__(cls: type[T], *_: Any, **__: Any) -> T:
        """Registers the operations under torch.ops.upsamplers."""
        try:
            importlib.import_module(f"upsamplers.fused.{cls.OPERATIONS}")
        except ModuleNotFoundError as problem:
            if problem.name != "triton":
                raise
            raise Unsupported("Triton operators need triton, which is not installed: pip install triton") from problem
        return super().__new__(cls)


def require_supported(reference: str, *tensors: Tensor, kernel: int = 1, scale: int = 1) -> None:
    """Refuses what the kernels cannot take.

    Raises:
        Unsupported: naming the operator, what was found, and the reference operator, which takes it.
    """
    name, instead = f"{reference}-triton", f"{reference!r} has the same weights"
    for tensor in tensors:
        if tensor.device.type not in ("cuda", "meta") and not is_interpreted():
            raise Unsupported(f"{name} runs on CUDA, not on {tensor.device.type}; {instead}")
        if tensor.dtype not in DTYPES:
            accepted = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
            raise Unsupported(f"{name} takes {accepted}, not {tensor.dtype}; {instead}")
    if kernel > LARGEST_KERNEL:
        most = f"{LARGEST_KERNEL} x {LARGEST_KERNEL}"
        raise Unsupported(f"{name} takes windows up to {most}, not {kernel} x {kernel}; {instead}")
    if next_power_of_2(kernel**2) * next_power_of_2(scale**2) > LARGEST_CELL:
        raise Unsupported(
            f"{name} takes windows and scales up to k² · s² = {LARGEST_CELL}, each rounded up to a power of two, not "
            f"{kernel}² · {scale}²; {instead}"
        )


def next_power_of_2(number: int) -> int:
    """The smallest power of two that is not below the number; triton has it too, but may not be installed."""
    return 1 << (number - 1).bit_length()


def is_wide(*tensors: Tensor) -> bool:
    """Whether an offset into one of these may not fit 32 bits, also where it is a view of something larger."""
    return any(
        sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)) + 1 >= NARROW
        for tensor in tensors
    )


def empty_feature(x: Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
    """An uninitialised feature laid out as x is: channels_last, or contiguous."""
    is_channels_last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if is_channels_last else torch.contiguous_format
    return torch.empty(tuple(shape), dtype=dtype or x.dtype, device=x.device, memory_format=layout)


def empty_upsampled(x: Tensor, scale: int) -> Tensor:
    """An uninitialised output (B, C, sH, sW) for x (B, C, H, W), in its dtype and layout."""
    batch, channels, height, width = x.shape
    return empty_feature(x, (batch, channels, scale * height, scale * width))


def dense(x: Tensor) -> Tensor:
    """X itself where it is contiguous or channels_last, else a contiguous copy."""
    if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous()


def materialized(grad: Tensor) -> Tensor:
    """A gradient without strides of zero: one that is expanded, as of a sum, is not what blocks are chosen for."""
    return grad.contiguous() if 0 in grad.stride() else grad


def tuning_keys(x: Tensor, groups: int = 1) -> tuple[int, int]:
    """What blocks are chosen for: the pixels of an image and the images (times groups), rounded up to powers of two.

    Pixels are negative where channels are contiguous.
    """
    pixels = next_power_of_2(x.shape[2] * x.shape[3])
    return -pixels if x.stride(1) == 1 else pixels, next_power_of_2(x.shape[0] * groups)


def launch(
    kernel: Tuned, rows: int, columns: int, channels: int | None, images: int, *arguments: Any, **constants: Any
) -> None:
    """Runs a kernel on the device of its first argument, whichever is the current one.

    The grid is (rows · blocks of columns, blocks of channels, images).

    Args:
        kernel: what runs.
        rows, columns: of pixels; BLOCK_P pixels of a row are a program's.
        channels: BLOCK_C of them are a program's; None: all.
        images: images times groups of channels, one a program; for 0 nothing runs.
        arguments, constants: the kernel's.

    Raises:
        Unsupported: more images than a grid has, or more pixels than 32 bits count.
    """
    if images > MOST_IMAGES:
        raise Unsupported(f"{images} images (or groups of them) at once; Triton operators take up to {MOST_IMAGES}")
    if rows * columns >= MOST_PIXELS:
        raise Unsupported(f"{rows * columns} pixels an image; Triton operators take less than {MOST_PIXELS}")
    if images == 0:
        return

    def grid(meta: Mapping[str, int]) -> tuple[int, int, int]:
        channel_blocks = 1 if channels is None else -(-channels // meta["BLOCK_C"])
        return rows * -(-columns // meta["BLOCK_P"]), channel_blocks, images

    with torch.cuda.device_of(arguments[0]):
        kernel[grid](*arguments, **constants)


Rule = Callable[[Mapping[str, Any]], Any]


def tuned(
    configs: Sequence[Any],
    keys: Sequence[str],
    *,
    fits: Callable[[Any, Mapping[str, Any]], bool] = lambda config, arguments: True,
    derived: Mapping[str, Rule] | None = None,
    **autotune: Any,
) -> Callable[[Any], Tuned]:
    """Chooses among block sizes by timing them once for each kind of input.

    The choice is kept on disk where triton can, so that every process of a comparison runs the same. Interpreted, the
    first that fits the arguments is taken.

    Args:
        configs: triton's.
        keys: names of the arguments that distinguish kinds of input.
        fits: whether a configuration can run with these arguments.
        derived: constants by name that follow from the arguments and the blocks.
        autotune: other options of triton.autotune.
    """
    return lambda kernel: Tuned(kernel, list(configs), keys, fits, dict(derived or {}), autotune)


class Tuned:
    """A kernel with the blocks that triton's tuner found fastest; later launches skip the tuner, to save time."""

    def __init__(
        self,
        kernel: Any,
        configs: list[Any],
        keys: Sequence[str],
        fits: Callable[[Any, Mapping[str, Any]], bool],
        derived: dict[str, Rule],
        autotune: dict[str, Any],
    ) -> None:
        self.fn, self.configs, self.fits, self._derived = kernel, configs, fits, derived
        self._key_positions = [position for position, name in enumerate(kernel.arg_names) if name in keys]
        self._chosen: dict[Any, dict[str, Any]] = {}
        self._devices: set[torch.device] = set()
        self._lock = threading.Lock()
        self._tuner = None
        if not is_interpreted():
            import triton

            if "cache_results" in inspect.signature(triton.autotune).parameters:
                autotune = {**autotune, "cache_results": True}
            prune = {"early_config_prune": self._fitting}
            tune = triton.autotune(configs, list(keys), prune_configs_by=prune, **autotune)
            self._tuner = tune(triton.heuristics(derived)(kernel))

    def _fitting(self, configs: Sequence[Any], arguments: Mapping[str, Any], **constants: Any) -> list[Any]:
        return [config for config in configs if self.fits(config, {**arguments, **constants})]

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return partial(self._run, grid)

    def _run(self, grid: Any, *arguments: Any, **constants: Any) -> None:
        if self._tuner is None:
            named = self._named(arguments, constants)
            blocks = self._fitting(self.configs, named)[0].kwargs
            self.fn[grid](*arguments, **constants, **blocks, **self._derive(named | blocks))
            return
        count = len(arguments)
        key = (
            arguments[0].device,
            tuple(argument.dtype for argument in arguments if isinstance(argument, Tensor)),
            *(arguments[position] for position in self._key_positions if position < count),
            *constants.values(),
        )
        if chosen := self._chosen.get(key):
            self.fn[grid](*arguments, **constants, **chosen, **OPTIONS)
            return
        with self._lock:  # the tuner stores the arguments of its call
            if arguments[0].device not in self._devices:
                self._tuner.cache.clear()
                self._devices.add(arguments[0].device)
            self._tuner[grid](*arguments, **constants, **OPTIONS)
            best = self._tuner.best_config.all_kwargs()
        self._chosen[key] = best | self._derive(self._named(arguments, constants) | best)

    def _named(self, arguments: Sequence[Any], constants: Mapping[str, Any]) -> dict[str, Any]:
        return dict(zip(self.fn.arg_names, arguments, strict=False)) | dict(constants)

    def _derive(self, named: Mapping[str, Any]) -> dict[str, Any]:
        return {name: rule(named) for name, rule in self._derived.items()}
