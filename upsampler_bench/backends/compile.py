"""torch.compile of the operators' plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from upsampler_bench.case import PROBE, Case

if TYPE_CHECKING:
    from torch import Tensor, nn

DESCRIPTION = "torch.compile of plain PyTorch"
OPERATORS = "torch"
SECONDS = 15.0
RECOMPILE_LIMIT = 256


def why_not(case: Case) -> str | None:
    """Capabilities are tested on modules; those of compiling are among them."""
    return "backend compile is timed, not tested; the capability 'compiles' tests it" if case.mode == PROBE else None


def prepare(module: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    """The compiled module; many variants of one class must not make the compiler fall back to eager."""
    import torch
    import torch._dynamo

    limit = "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"
    setattr(torch._dynamo.config, limit, RECOMPILE_LIMIT)
    return torch.compile(module)
