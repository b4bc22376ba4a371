"""Which form of a function runs: plain PyTorch, or our Triton kernels."""

from __future__ import annotations

import os
import shutil
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_operations import needs_plain_operations

BACKENDS = ("auto", "torch", "triton")
PLAIN_TENSORS = (Tensor, torch.nn.Parameter, FakeTensor)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# The kernels were compiled with this version and later ones.
LEAST_TRITON = (3, 6)
# The side of the largest window.
LARGEST_KERNEL = 11
# Taps times output pixels of an input pixel, which one program of a gradient holds for all its pixels.
LARGEST_CELL = 2048
# Channels of a group's queries and keys that one program multiplies as a matrix.
LARGEST_DEPTH = 256
# Programs along the third axis of a CUDA grid.
MOST_IMAGES = 65535
# Offsets within one image are of 32 bits.
MOST_ELEMENTS = 2**31


class _Choice(threading.local):
    """What `use_backend` chose in this thread."""

    backend = "auto"


_choice = _Choice()


@contextmanager
def use_backend(backend: str) -> Iterator[None]:
    """Within this context, functions and operators left at "auto" run on this backend, in this thread.

    A recomputation by torch.utils.checkpoint may run in another thread: set `module.backend` there.

    Args:
        backend: "auto", "torch" or "triton", as in `upsamplers.create`.

    Raises:
        Unsupported: there is no such backend.
    """
    require_backend(backend)
    before = _choice.backend
    _choice.backend = backend
    try:
        yield
    finally:
        _choice.backend = before


def require_backend(backend: str) -> None:
    """Refuses what is not the name of a backend."""
    if backend not in BACKENDS:
        raise Unsupported(f"no backend {backend!r}; expected {', '.join(map(repr, BACKENDS))}")


def uses_triton(
    backend: str,
    x: Tensor,
    *others: Tensor,
    kernel: int = 1,
    scale: int = 1,
    groups: int = 1,
    depth: int = 1,
    why_not: str | None = None,
) -> bool:
    """Whether the Triton form runs: the one place where that is decided.

    While a program is exported or traced, and under torch.func or forward-mode differentiation, the PyTorch form runs.

    Args:
        backend: "torch", "triton", or "auto": what `use_backend` chose, else Triton where it can.
        x: (B, C, H, W).
        others: the other tensors that the kernels would read.
        kernel, scale, groups: k, s and Z, as far as they limit the kernels.
        depth: channels of a group's queries and keys, where kernels multiply these as matrices.
        why_not: a limit of the caller's own kernels, as a predicate without its subject; None where they can run.

    Raises:
        Unsupported: Triton was asked for by name and cannot run, with the reason; or there is no such backend.
    """
    require_backend(backend)
    wanted = _choice.backend if backend == "auto" else backend
    if wanted == "torch" or (wanted == "auto" and not x.is_cuda) or _is_exporting():
        return False
    reason = why_not or why_not_triton(x, *others, kernel=kernel, scale=scale, groups=groups, depth=depth)
    if reason is None:
        return True
    if wanted == "triton":
        raise Unsupported(f"backend 'triton' {reason}; backend 'torch' has no such limit")
    return False


def why_not_triton(
    x: Tensor, *others: Tensor, kernel: int = 1, scale: int = 1, groups: int = 1, depth: int = 1
) -> str | None:
    """Why the kernels cannot take these tensors, a predicate without its subject; or None."""
    if WHY_NO_TRITON:
        return WHY_NO_TRITON
    is_compiling = torch.compiler.is_compiling()
    if not is_compiling and needs_plain_operations():
        return "has no form for torch.func and forward-mode differentiation"
    device = x.device
    for tensor in (x, *others):
        if tensor.device != device:
            return f"takes tensors of one device, not of {device} and {tensor.device}"
        if not tensor.is_cuda and not is_interpreted():
            return f"runs on CUDA, not on {tensor.device.type}"
        if tensor.dtype not in DTYPES:
            return f"takes float32, float16 and bfloat16, not {str(tensor.dtype).removeprefix('torch.')}"
        if not is_compiling and type(tensor) not in PLAIN_TENSORS:
            return f"takes plain tensors, not {type(tensor).__name__}"
    return _why_not_sizes(x, others, kernel, scale, groups, depth)


def _why_not_sizes(
    x: Tensor, others: tuple[Tensor, ...], kernel: int, scale: int, groups: int, depth: int
) -> str | None:
    if kernel > LARGEST_KERNEL:
        return f"takes windows up to {LARGEST_KERNEL} x {LARGEST_KERNEL}, not {kernel} x {kernel}"
    if next_power_of_2(kernel**2) * next_power_of_2(scale**2) > LARGEST_CELL:
        return f"takes up to k² · s² = {LARGEST_CELL}, each rounded up to a power of two, not {kernel}² · {scale}²"
    if depth > LARGEST_DEPTH:
        return f"takes up to {LARGEST_DEPTH} channels of queries a head, not {depth}"
    images = x.shape[0]
    if images * groups > MOST_IMAGES:
        return f"takes up to {MOST_IMAGES} images times groups, not {images * groups}"
    windows = images * groups * (kernel * scale) ** 2 * x.shape[2] * x.shape[3]
    for elements in (x.numel() * scale**2, windows, *(tensor.numel() for tensor in others)):
        if images and elements >= MOST_ELEMENTS * images:
            return f"takes less than 2³¹ elements an image, not {elements // images}"
    return None


def is_interpreted() -> bool:
    """Whether triton runs kernels on the CPU, one program after the other."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes", "y")


def _why_no_triton() -> str:
    """Why no kernel can run in this environment, or an empty text."""
    if find_spec("triton") is None:
        return "needs triton, which is not installed: pip install triton"
    with suppress(PackageNotFoundError):  # under another name, as in nightly builds of torch
        found = version("triton")
        if tuple(map(int, found.split(".")[:2])) < LEAST_TRITON:
            return f"needs triton {'.'.join(map(str, LEAST_TRITON))} or newer, not {found}"
    if not (is_interpreted() or os.environ.get("CC") or any(map(shutil.which, ("gcc", "clang")))):
        return "needs a C compiler, by which triton builds what launches kernels: install gcc or clang, or set CC"
    default = sysconfig.get_default_scheme()
    scheme = "posix_prefix" if default == "posix_local" else default  # of Debian's Python; triton does the same
    if not (is_interpreted() or Path(sysconfig.get_paths(scheme)["include"], "Python.h").exists()):
        return "needs Python's header files, with which triton builds what launches kernels: install python3-dev"
    return ""


WHY_NO_TRITON = _why_no_triton()


def next_power_of_2(number: int) -> int:
    """The smallest power of two that is not below the number; triton has it too, but may not be installed."""
    return 1 << (number - 1).bit_length()


def _is_exporting() -> bool:
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return True
    if not torch.compiler.is_compiling():
        return False
    is_exporting = getattr(torch.compiler, "is_exporting", None)  # absent before torch 2.7: then nothing is fused
    return is_exporting is None or bool(is_exporting())
