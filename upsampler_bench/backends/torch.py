"""Plain PyTorch, call by call: what the outputs and times of all other backends are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

DESCRIPTION = "plain PyTorch, which the others are compared with"
OPERATORS = "torch"


def prepare(module: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
    """The module itself."""
    return module
