"""torch.compile with nothing kept from the operators before: shared by the probes of compilation."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
import torch._dynamo
import torch._inductor.config
import torch._inductor.utils

from upsampler_bench.capabilities import NotApplicable


@contextmanager
def cold(device: str) -> Iterator[None]:
    """Empty caches, so that an operator finds nothing of what those before it left, and leaves nothing itself.

    Raises:
        NotApplicable: nothing can be compiled here.
    """
    if reason := _why_not(device):
        raise NotApplicable(reason)
    with _empty():
        yield


@contextmanager
def _empty() -> Iterator[None]:
    utils: Any = torch._inductor.utils
    fresh = getattr(utils, "fresh_cache", None) or utils.fresh_inductor_cache
    with (
        forgotten(),
        tempfile.TemporaryDirectory() as folder,  # left by torch itself after an error
        fresh(dir=folder),
        # Worker processes would outlive the probe, and their start would be timed with the first operator.
        torch._inductor.config.patch(compile_threads=1),
    ):
        yield


@contextmanager
def forgotten() -> Iterator[None]:
    """Nothing is known of what was traced before, and nothing of what is traced inside is kept."""
    torch._dynamo.reset()
    try:
        yield
    finally:
        torch._dynamo.reset()


@cache
def _why_not(device: str) -> str | None:
    """Why nothing can be compiled here, or None; what compiling loads is loaded then."""
    try:
        with _empty(), torch.no_grad():
            torch.compile(_add_one)(torch.ones(8, device=device))
    except (RuntimeError, OSError) as problem:
        text = " ".join(str(problem).split())
        if "Compiler" in text:
            return "needs a C++ compiler, such as g++, which is not here"
        return f"torch.compile compiles nothing here: {text[:160]}"
    return None


def _add_one(x: torch.Tensor) -> torch.Tensor:
    return x + 1
