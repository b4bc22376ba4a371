"""The DySample series in Triton: a projection, and one kernel from there to the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from upsamplers.checks import require_features
from upsamplers.fused._launch import Twin, dense, require_fusible
from upsamplers.operators.dysample import PAPER, DySample
from upsamplers.registry import register

# Of the twin with its projections inside: a program has all output pixels of 16 input pixels at least.
LARGEST_SCALE = 4
SERIES: dict[str, dict[str, Any]] = {
    "dysample": {},
    "dysample+": {"dynamic_scope": True},
    "dysample-s": {"style": "pl"},
    "dysample-s+": {"style": "pl", "dynamic_scope": True},
}
Operator = TypeVar("Operator", bound=type[DySample])


def twins(ending: str) -> Callable[[Operator], Operator]:
    """Registers a class as the twin of each of the series, under its name with this ending."""

    def add(operator: Operator) -> Operator:
        for name, options in reversed(SERIES.items()):  # as stacked decorators do, the first of them last
            register(f"{name}{ending}", devices=("cuda",), reference=name, paper=PAPER, year=2023, **options)(operator)
        return operator

    return add


@twins("-triton")
class DySampleTriton(Twin, DySample):
    """DySample with its points found where they are read: no coordinates in memory, and x read in its own dtype.

    The gradient of x is added up by atomic operations, in no fixed order; torch.use_deterministic_algorithms(True)
    makes it exact sums of whole steps, the same bits each time.

    Args: see DySample.
    """

    OPERATIONS = "_point_ops"

    @property
    def _published(self) -> str:
        """Which of the series has these weights."""
        return f"dysample{'-s' if self.style == 'pl' else ''}{'' if self.scope is None else '+'}"

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW).

        Raises:
            Unsupported: x is not such a feature, on CUDA, of float32, float16 or bfloat16.
        """
        require_features(x, self.channels)
        require_fusible(f"{self._published}-triton", self._published, x)
        x = dense(x)
        out: Tensor = torch.ops.upsamplers.sample_displaced(
            x, dense(self.projected(x)), self.init_pos, float(self.scope_factor), self.groups, self.scale
        )
        return out


@twins("-triton-1x1")
class DySampleTriton1x1(DySampleTriton):
    """DySample with its 1×1 projections inside the kernel too: one launch, and nothing in memory but x and the output.

    In a forward without gradients (torch.inference_mode or torch.no_grad), up to scale 4, on x of the weights' dtype;
    elsewhere it is the twin without: a backward reads the projections.

    Args: see DySample.
    """

    OPERATIONS = "_projecting_ops"

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW).

        Raises:
            Unsupported: x is not such a feature, on CUDA, of float32, float16 or bfloat16.
        """
        if torch.is_grad_enabled() or self.scale > LARGEST_SCALE or x.dtype != self.offset.weight.dtype:
            return super().forward(x)
        require_features(x, self.channels)
        require_fusible(f"{self._published}-triton-1x1", self._published, x)
        scope = self.scope
        out: Tensor = torch.ops.upsamplers.project_and_sample(
            dense(x), self.offset.weight, self.offset.bias,
            None if scope is None else scope.weight, None if scope is None else scope.bias, self.init_pos,
            float(self.scope_factor), self.groups, self.scale, self.style == "pl",
        )  # fmt: skip
        return out
