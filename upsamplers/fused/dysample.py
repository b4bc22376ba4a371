"""The DySample series in Triton: a projection, and one kernel from there to the output; or one kernel for both."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from upsamplers.checks import require_features
from upsamplers.fused._launch import TritonOperator, dense, require_supported
from upsamplers.operators.dysample import PAPER, DySample
from upsamplers.registry import register

# Of the projecting kernel: a program has all output pixels of 16 input pixels at least.
LARGEST_PROJECTING_SCALE = 4
PUBLISHED: dict[str, Any] = {"devices": ("cuda",), "paper": PAPER, "year": 2023}


@register("dysample-triton", reference="dysample", **PUBLISHED)
@register("dysample+-triton", reference="dysample+", dynamic_scope=True, **PUBLISHED)
@register("dysample-s-triton", reference="dysample-s", style="pl", **PUBLISHED)
@register("dysample-s+-triton", reference="dysample-s+", style="pl", dynamic_scope=True, **PUBLISHED)
class DySampleTriton(TritonOperator, DySample):
    """DySample with its points found where they are read: no coordinates in memory, and x read in its own dtype.

    Style "pl" without gradients (torch.inference_mode or torch.no_grad) projects inside the kernel too, up to scale 4,
    for x of the weights' dtype: on an H100 that takes 52 µs in place of 68 for DySample-S, and 66 in place of 73 for
    DySample-S+. A backward reads the projections, and style "lp" is faster without.

    The gradient of x is added up by atomic operations, in no fixed order; torch.use_deterministic_algorithms(True)
    makes it exact sums of whole steps, the same bits each time.

    Args: see DySample.
    """

    OPERATIONS = "_point_ops"

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW).

        Raises:
            Unsupported: x is not such a feature, on CUDA, of float32, float16 or bfloat16.
        """
        require_features(x, self.channels)
        reference = f"dysample{'-s' if self.style == 'pl' else ''}{'' if self.scope is None else '+'}"
        require_supported(reference, x)
        x = dense(x)
        if self._projects_inside(x):
            projected: Tensor = torch.ops.upsamplers.project_and_sample(
                x, self.offset.weight, self.offset.bias,
                None if self.scope is None else self.scope.weight, None if self.scope is None else self.scope.bias,
                self.init_pos, float(self.scope_factor), self.groups, self.scale,
            )  # fmt: skip
            return projected
        out: Tensor = torch.ops.upsamplers.sample_displaced(
            x, dense(self.projected(x)), self.init_pos, float(self.scope_factor), self.groups, self.scale
        )
        return out

    def _projects_inside(self, x: Tensor) -> bool:
        if self.style != "pl" or torch.is_grad_enabled() or self.scale > LARGEST_PROJECTING_SCALE:
            return False
        return x.dtype == self.offset.weight.dtype and is_plain(self.offset) and is_plain(self.scope)


def is_plain(layer: nn.Module | None) -> bool:
    """Whether a projection is nothing but its weights: no hook, and no layer that was put in its place."""
    return layer is None or (type(layer) is nn.Conv2d and not layer._forward_hooks and not layer._forward_pre_hooks)
