"""torch.compile with empty caches: shared by the probes of compilation.

The compiler is imported where it is used: every run imports this module, and importing the compiler takes about as long
as importing torch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from upsampler_bench.capabilities import NotApplicable


@contextmanager
def empty_caches(device: str) -> Iterator[None]:
    """Compiles from empty caches: an operator uses nothing of those before it, and leaves nothing itself.

    Raises:
        NotApplicable: torch.compile does not work here.
    """
    if reason := _why_not(device):
        raise NotApplicable(reason)
    with _empty():
        yield


@contextmanager
def _empty() -> Iterator[None]:
    import torch._inductor.config
    import torch._inductor.utils

    utils: Any = torch._inductor.utils
    fresh_cache = getattr(utils, "fresh_cache", None) or utils.fresh_inductor_cache
    with (
        nothing_traced(),
        tempfile.TemporaryDirectory() as folder,  # torch itself leaves it after an error
        fresh_cache(dir=folder),
        # Worker processes would outlive the probe, and their start would be timed with the first operator.
        torch._inductor.config.patch(compile_threads=1),
    ):
        yield


@contextmanager
def nothing_traced() -> Iterator[None]:
    """Forgets what torch.compile traced before, and afterwards what it traced inside."""
    import torch._dynamo

    torch._dynamo.reset()
    try:
        yield
    finally:
        torch._dynamo.reset()


@cache
def _why_not(device: str) -> str | None:
    """Why torch.compile does not work here, or None; also loads what compiling needs."""
    try:
        with _empty(), torch.no_grad():
            torch.compile(_add_one)(torch.ones(8, device=device))
    except (RuntimeError, OSError) as problem:
        text = " ".join(str(problem).split())
        if "Compiler" in text:
            return "needs a C++ compiler such as g++, and none is installed"
        return f"torch.compile does not work here: {text[:160]}"
    return None


def _add_one(x: torch.Tensor) -> torch.Tensor:
    return x + 1
