"""The operators' Triton kernels, for NVIDIA GPUs; operators without are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

DESCRIPTION = "our Triton kernels, on an NVIDIA GPU"
OPERATORS = "triton"


def prepare(module: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    """The module itself."""
    return module
