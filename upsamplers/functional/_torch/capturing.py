"""Whether the operations that run now are executed or recorded."""

from __future__ import annotations

import torch


def is_being_captured() -> bool:
    """Whether a program is recorded, by torch.compile, torch.export, torch.jit.trace or the ONNX exporter."""
    return torch.compiler.is_compiling() or bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
