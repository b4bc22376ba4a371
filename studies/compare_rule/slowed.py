"""A plug-in: operators that do more real work per call, to see whether a comparison finds it.

A JSON file lists them as [operator, name, elements, passes]: the operator also multiplies a buffer of that many
elements in place, that many times.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

import upsamplers
from upsamplers.registry import add
from upsamplers.spec import Spec

FILE = "slowed.json"


def register(operator: str, name: str, elements: int, passes: int) -> None:
    """Registers an operator again under another name, with more work per call."""
    spec = upsamplers.get(operator)

    class Slowed(spec.cls):  # type: ignore[name-defined,misc]  # whatever class the operator has
        """The operator, slowed."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.register_buffer("burden", torch.ones(elements), persistent=False)

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = super().forward(*inputs)
            for _ in range(passes):
                self.burden.mul_(1.0)
            return out

    Slowed.__qualname__ = f"Slowed[{name}]"
    add(Spec(name, Slowed, dict(spec.options), scales=spec.scales))


def register_all(folder: Path) -> None:
    """Registers what the file in this folder lists."""
    for operator, name, elements, passes in json.loads((folder / FILE).read_text(encoding="utf-8")):
        register(operator, name, elements, passes)
