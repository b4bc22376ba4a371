"""When only plain differentiable operations will do."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad


def needs_plain_operations() -> bool:
    """Whether a program is recorded, or transformed.

    By torch.compile, torch.export, torch.jit.trace or the ONNX exporter; or by torch.func or forward-mode
    differentiation, which go through operations of any kind but not through an autograd.Function without their rules.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return True
    return forward_ad._current_level >= 0 or torch._C._functorch.peek_interpreter_stack() is not None
