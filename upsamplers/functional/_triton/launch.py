"""Launching kernels: block sizes by timing, little host time, and the layouts of tensors."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional.backend import MOST_ELEMENTS, is_interpreted, next_power_of_2

# How the logits of a window become weights.
SOFTMAX, SIGMOID_SOFTMAX, PLAIN = range(3)
# Kinds of launches that a kernel remembers.
MOST_LAUNCHES = 4096
# Fuses a product and its sum into one instruction, as torch's own kernels do; later versions of triton need the option.
OPTIONS = {"enable_fp_fusion": True}
# Compute capabilities of GPUs whose tensor cores take less time for three products of TF32 than other cores for one of
# float32: A100, H100 and H200, B200, B300.
FAST_TF32 = ((8, 0), (9, 0), (10, 0), (10, 3))


def empty_upsampled(x: Tensor, scale: int) -> Tensor:
    """An uninitialised output (B, C, sH, sW) for x (B, C, H, W), in its dtype and layout."""
    batch, channels, height, width = x.shape
    return empty_feature(x, (batch, channels, scale * height, scale * width))


def dense(x: Tensor) -> Tensor:
    """X itself where it is contiguous or channels_last, else a contiguous copy."""
    if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous()


def pixel_strides(x: Tensor) -> tuple[int, int, int]:
    """Strides of (image, channel, pixel) of a dense x (B, C, H, W), with pixels numbered over the image.

    Not read from x: along an axis of one element a stride can be anything.
    """
    channels, pixels = x.shape[1], x.shape[2] * x.shape[3]
    return (channels * pixels, pixels, 1) if x.is_contiguous() else (channels * pixels, 1, channels)


def narrow(tensor: Tensor) -> Tensor:
    """Itself, or a copy where it is a view of something so large that offsets in an image need more than 32 bits."""
    if tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor
    steps = zip(tensor.shape[1:], tensor.stride()[1:], strict=True)
    return tensor if sum((size - 1) * stride for size, stride in steps) < MOST_ELEMENTS else tensor.contiguous()


def materialized(grad: Tensor) -> Tensor:
    """A gradient that is `narrow` and without strides of zero: an expanded one is not what blocks are chosen for."""
    return grad.contiguous() if 0 in grad.stride() else narrow(grad)


def tuning_keys(x: Tensor, groups: int = 1) -> tuple[int, int]:
    """What blocks are chosen for: the pixels of an image and the images (times groups), rounded up to powers of two.

    Pixels are negative where channels are contiguous.
    """
    pixels = next_power_of_2(x.shape[2] * x.shape[3])
    return -pixels if x.stride(1) == 1 else pixels, next_power_of_2(x.shape[0] * groups)


Grid = tuple[int, int, int]
Blocks = Callable[[Mapping[str, int]], Grid]
Rule = Callable[[Mapping[str, Any]], Any]


def has_fast_tf32(device: torch.device) -> bool:
    """Whether kernels multiply float32 on tensor cores there, as on devices that simulate a GPU."""
    if device.type != "cuda":
        return True
    return torch.cuda.is_available() and torch.cuda.get_device_capability(device) in FAST_TF32


def _precision(given: Mapping[str, Any]) -> str:
    device = next(value.device for value in given.values() if isinstance(value, Tensor))
    return "tf32x3" if has_fast_tf32(device) else "ieee"


# Constants of kernels with tl.dot. Triton's interpreter multiplies the bits of bfloat16 as integers. On tensor cores
# three products of TF32, of the leading and of the remaining bits, are as exact as one of float32.
IN_FLOAT32: dict[str, Rule] = {"IN_FLOAT32": lambda given: is_interpreted()}
PRECISION: dict[str, Rule] = {"PRECISION": _precision}


def rectangle_grid(size: Sequence[int], channels: int | None, images: int) -> Blocks:
    """The grid (rectangles of pixels, blocks of channels, images).

    Args:
        size: rows and columns of pixels; BLOCK_H x BLOCK_W of them are a program's.
        channels: BLOCK_C, or CHUNKS · STEP_C, of them are a program's; None: all.
        images: images times groups of channels, one a program.
    """

    def grid(meta: Mapping[str, int]) -> Grid:
        rectangles = -(-size[0] // meta["BLOCK_H"]) * -(-size[1] // meta["BLOCK_W"])
        if channels is None:
            return rectangles, 1, images
        return rectangles, -(-channels // (meta.get("BLOCK_C") or meta["CHUNKS"] * meta["STEP_C"])), images

    return grid


def launch(kernel: Tuned, grid: Blocks, *arguments: Any, **constants: Any) -> None:
    """Runs a kernel on the device of its first argument, whichever is the current one.

    Args:
        kernel: what runs.
        grid: the numbers of programs for a choice of blocks; where one is zero nothing runs.
        arguments, constants: the kernel's, in its order.
    """
    device = arguments[0].device
    if device.type == "cuda" and device.index != torch.cuda.current_device():
        with torch.cuda.device(device):
            kernel.run(grid, arguments, constants)
    else:
        kernel.run(grid, arguments, constants)


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


# Whether the fastest blocks are kept on disk for later processes; tests that time none turn it off.
KEPT_ON_DISK = True


class Tuned:
    """A kernel with the blocks that triton's tuner found fastest.

    Later launches of the same kind go to the compiled kernel directly: triton would look at every argument again.
    """

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
        # Constants by kind of input, as they decide blocks; and compiled kernels with constants by all arguments.
        self._chosen: dict[Any, dict[str, Any]] = {}
        self._launches: dict[Any, tuple[Any, dict[str, Any], tuple[Any, ...]]] = {}
        self._devices: set[torch.device] = set()
        self._lock = threading.Lock()
        self._tuner: Any = None
        if not is_interpreted():
            import triton

            if "cache_results" in inspect.signature(triton.autotune).parameters:
                autotune = {**autotune, "cache_results": KEPT_ON_DISK}
            prune = {"early_config_prune": self._fitting}
            tune = triton.autotune(configs, list(keys), prune_configs_by=prune, **autotune)
            self._tuner = tune(triton.heuristics(derived)(kernel))

    def run(self, grid: Blocks, arguments: Sequence[Any], constants: Any) -> None:
        """Launches with the blocks for these arguments, which the first launch of a kind chooses."""
        if self._tuner is None:
            self._interpret(grid, arguments, constants)
            return
        # What triton specialises a kernel on: dtypes, whether pointers are aligned, and numbers.
        key = [arguments[0].device, *constants.values()]
        for argument in arguments:
            if isinstance(argument, Tensor):
                key += (argument.dtype, argument.data_ptr() % 16 == 0)
            else:
                key.append(argument)
        kind = tuple(key)
        if known := self._launches.get(kind):
            compiled, blocks, trailing = known
            size = grid(blocks)
            if min(size):
                compiled[size](*arguments, *trailing)
            return
        self._first(kind, grid, arguments, constants)

    def _first(self, kind: Any, grid: Any, arguments: Sequence[Any], constants: dict[str, Any]) -> None:
        """Tunes for a kind of input that is new; else compiles for arguments that are, and remembers both."""
        tuning = (
            arguments[0].device,
            tuple(argument.dtype for argument in arguments if isinstance(argument, Tensor)),
            *(arguments[position] for position in self._key_positions if position < len(arguments)),
            *constants.values(),
        )
        chosen = self._chosen.get(tuning)
        if chosen is None:
            if not min(grid(self._fitting(self.configs, self._named(arguments, constants))[0].kwargs)):
                return
            with self._lock:  # the tuner stores the arguments of its call
                if arguments[0].device not in self._devices:
                    self._tuner.cache.clear()
                    self._devices.add(arguments[0].device)
                self._tuner[grid](*arguments, **constants, **OPTIONS)
                best = self._tuner.best_config.all_kwargs()
            self._chosen[tuning] = best | self._derive(self._named(arguments, constants) | best)
            return
        if not min(grid(chosen)):
            return
        compiled = self.fn[grid](*arguments, **constants, **chosen, **OPTIONS)
        if len(self._launches) >= MOST_LAUNCHES:
            self._launches.clear()
        given = constants | chosen
        self._launches[kind] = compiled, chosen, tuple(given[name] for name in self.fn.arg_names[len(arguments) :])

    def _interpret(self, grid: Any, arguments: Sequence[Any], constants: Mapping[str, Any]) -> None:
        named = self._named(arguments, constants)
        blocks = self._fitting(self.configs, named)[0].kwargs
        if min(grid(blocks)):
            self.fn[grid](*arguments, **constants, **blocks, **self._derive(named | blocks))

    def _fitting(self, configs: Sequence[Any], arguments: Mapping[str, Any], **constants: Any) -> list[Any]:
        return [config for config in configs if self.fits(config, {**arguments, **constants})]

    def _named(self, arguments: Sequence[Any], constants: Mapping[str, Any]) -> dict[str, Any]:
        return dict(zip(self.fn.arg_names, arguments, strict=False)) | dict(constants)

    def _derive(self, named: Mapping[str, Any]) -> dict[str, Any]:
        return {name: rule(named) for name, rule in self._derived.items()}
