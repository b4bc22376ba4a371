"""What every fused operation needs to be launched: what it accepts, its blocks, and where its tensors lie."""

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

# What a window's logits are made into.
SOFTMAX, SIGMOID_SOFTMAX, PLAIN = range(3)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
LARGEST_KERNEL = 11
# Of taps and output pixels of an input pixel, which one program holds for all its pixels.
LARGEST_CELL = 2048
# Of a grid's second and third axes.
MOST_IMAGES = 65535
# Beyond so many elements an offset does not fit 32 bits.
NARROW = 2**31
MOST_PIXELS = 2**31
# A product and its sum are one instruction, as in torch's own kernels; later versions of triton ask for it to be said.
OPTIONS = {"enable_fp_fusion": True}
T = TypeVar("T", bound="Twin")


def is_interpreted() -> bool:
    """Whether triton runs kernels on the CPU, one program after the other."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes", "y")


class Twin:
    """Before an operator's class: imports the operations that the twin calls when one is made, or unpickled.

    Raises:
        Unsupported: triton is not installed.
    """

    OPERATIONS: ClassVar[str]

    def __new__(cls: type[T], *_: Any, **__: Any) -> T:
        """Operations are found under torch.ops.upsamplers from then on."""
        try:
            importlib.import_module(f"upsamplers.fused.{cls.OPERATIONS}")
        except ModuleNotFoundError as problem:
            if problem.name != "triton":
                raise
            raise Unsupported("the fused twins need triton, which is not installed: pip install triton") from problem
        return super().__new__(cls)


def require_fusible(name: str, reference: str, *tensors: Tensor, kernel: int = 1, scale: int = 1) -> None:
    """Refuses what the kernels cannot take.

    Raises:
        Unsupported: naming what was found, and the operator that takes it.
    """
    for one in tensors:
        if one.device.type != "cuda" and not is_interpreted() and one.device.type != "meta":
            raise Unsupported(f"{name} runs on CUDA, not on {one.device.type}; {reference!r} has the same weights")
        if one.dtype not in DTYPES:
            accepted = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
            raise Unsupported(f"{name} takes {accepted}, not {one.dtype}; {reference!r} has the same weights")
    if kernel > LARGEST_KERNEL:
        raise Unsupported(
            f"{name} takes windows up to {LARGEST_KERNEL} x {LARGEST_KERNEL}, not {kernel} x {kernel}; {reference!r} "
            f"has the same weights"
        )
    if up_to_two(kernel**2) * up_to_two(scale**2) > LARGEST_CELL:
        raise Unsupported(
            f"{name} takes windows and scales up to k² · s² = {LARGEST_CELL}, each rounded up to a power of two, not "
            f"{kernel}² · {scale}²; {reference!r} has the same weights"
        )


def up_to_two(number: int) -> int:
    """The least power of two that is not below it."""
    return 1 << (number - 1).bit_length()


def blocks(count: int, block: int) -> int:
    """How many blocks cover so many."""
    return -(-count // block)


def is_wide(*tensors: Tensor) -> bool:
    """Whether an offset into one of these may not fit 32 bits, also where it is a part of something larger."""
    return any(
        sum((size - 1) * stride for size, stride in zip(one.shape, one.stride(), strict=True)) + 1 >= NARROW
        for one in tensors
    )


def empty_like(x: Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
    """An unwritten feature laid out as x is: channels_last, or contiguous."""
    turned = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if turned else torch.contiguous_format
    return torch.empty(tuple(shape), dtype=dtype or x.dtype, device=x.device, memory_format=layout)


def dense(x: Tensor) -> Tensor:
    """X itself where it is contiguous or channels_last, else a copy that is."""
    if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous()


def lies_in_rows(x: Tensor) -> bool:
    """Whether pixels of a row lie side by side."""
    return x.stride(3) == 1


def laid_out(grad: Tensor) -> Tensor:
    """A gradient in memory of its own: one that is expanded, as of a sum, is not what blocks are chosen for."""
    return grad.contiguous() if 0 in grad.stride() else grad


def kind(x: Tensor, groups: int = 1) -> tuple[int, int]:
    """What blocks are chosen for, coarsely: pixels of an image, and images (a group is one); powers of two.

    Pixels are negative where channels lie side by side.
    """
    pixels = up_to_two(x.shape[2] * x.shape[3])
    return -pixels if x.stride(1) == 1 else pixels, up_to_two(x.shape[0] * groups)


def launch(
    kernel: Any, rows: int, columns: int, channels: int | None, images: int, *arguments: Any, **constants: Any
) -> None:
    """Runs a kernel on the device that its first argument lies on, whichever is the current one.

    Args:
        kernel: a tuned one.
        rows, columns: of pixels; BLOCK_P of a row are a program's.
        channels: BLOCK_C of them a program; None: all.
        images: or groups of them, one a program; none: nothing is to be done.
        arguments, constants: the kernel's.

    Raises:
        Unsupported: more images than a grid has, or more pixels than 32 bits count.
    """
    if images > MOST_IMAGES:
        raise Unsupported(f"{images} images (or groups of them) at once; the fused twins take up to {MOST_IMAGES}")
    if rows * columns >= MOST_PIXELS:
        raise Unsupported(f"{rows * columns} pixels an image; the fused twins take less than {MOST_PIXELS}")
    if images == 0:
        return

    def grid(meta: Mapping[str, int]) -> tuple[int, ...]:
        many = () if channels is None else (blocks(channels, meta["BLOCK_C"]),)
        return rows * blocks(columns, meta["BLOCK_P"]), *many, images

    with torch.cuda.device_of(arguments[0]):
        kernel[grid](*arguments, **constants)


def tuned(
    configs: Sequence[Any],
    key: Sequence[str],
    *,
    suits: Callable[[Any, Mapping[str, Any]], bool] | None = None,
    derived: Mapping[str, Callable[[Mapping[str, Any]], Any]] | None = None,
    **more: Any,
) -> Callable[[Any], Any]:
    """Chooses among block sizes by timing them once for each kind of input.

    What was chosen is kept on disk where triton can, so that every process of a comparison runs the same. Interpreted,
    the first that suits the arguments is taken.

    Args:
        configs: triton's.
        key: names of the arguments that tell kinds of input apart.
        suits: whether one is for such arguments at all; by default all are.
        derived: constants by name that follow from the arguments and the blocks.
        more: for triton.autotune.
    """
    import triton

    rules = dict(derived or {})

    def suited(given: Sequence[Any], arguments: Mapping[str, Any], **constants: Any) -> list[Any]:
        return [one for one in given if suits is None or suits(one, {**arguments, **constants})]

    if is_interpreted():
        return lambda kernel: _First(kernel, partial(suited, configs), rules)
    if "cache_results" in inspect.signature(triton.autotune).parameters:
        more["cache_results"] = True
    tune = triton.autotune(list(configs), list(key), prune_configs_by={"early_config_prune": suited}, **more)
    return lambda kernel: _Fastest(kernel, tune(triton.heuristics(rules)(kernel)), key, rules, suits)


class _First:
    """An interpreted kernel with the first blocks that suit, where nothing can be timed."""

    def __init__(
        self, kernel: Any, suited: Callable[..., list[Any]], derived: Mapping[str, Callable[..., Any]]
    ) -> None:
        self.fn, self._suited, self._derived = kernel, suited, derived

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def run(*arguments: Any, **constants: Any) -> None:
            named = dict(zip(self.fn.arg_names, arguments, strict=False)) | constants
            chosen = self._suited(named)[0].kwargs
            self.fn[grid](*arguments, **constants, **chosen, **_follow(self._derived, named | chosen))

        return run


class _Fastest:
    """A kernel with the blocks that triton's tuner found fastest; from then on launched past it, to spare the host."""

    def __init__(
        self,
        kernel: Any,
        tuner: Any,
        key: Sequence[str],
        derived: Mapping[str, Callable[..., Any]],
        suits: Callable[[Any, Mapping[str, Any]], bool] | None,
    ) -> None:
        self.fn, self.configs, self._tuner, self._derived = kernel, tuner.configs, tuner, derived
        self.suits = suits or (lambda config, arguments: True)
        self._places = [place for place, name in enumerate(kernel.arg_names) if name in key]
        self._chosen: dict[Any, dict[str, Any]] = {}
        self._devices: set[torch.device] = set()
        self._alone = threading.Lock()

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return partial(self._run, grid)

    def _run(self, grid: Any, *arguments: Any, **constants: Any) -> None:
        count = len(arguments)
        kind = (
            arguments[0].device,
            tuple(one.dtype for one in arguments if isinstance(one, Tensor)),
            *(arguments[place] for place in self._places if place < count),
            *constants.values(),
        )
        if chosen := self._chosen.get(kind):
            self.fn[grid](*arguments, **constants, **chosen, **OPTIONS)
            return
        with self._alone:  # the tuner keeps what it is called with
            if arguments[0].device not in self._devices:
                self._tuner.cache.clear()
                self._devices.add(arguments[0].device)
            self._tuner[grid](*arguments, **constants, **OPTIONS)
            found = self._tuner.best_config.all_kwargs()
        named = dict(zip(self.fn.arg_names, arguments, strict=False)) | constants | found
        self._chosen[kind] = found | _follow(self._derived, named)


def _follow(derived: Mapping[str, Callable[..., Any]], named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rule(named) for name, rule in derived.items()}
