"""Bilinear interpolation in Triton: what the other Triton operators are compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from upsamplers.checks import require_features
from upsamplers.fused._launch import TritonOperator, dense, require_supported
from upsamplers.operators.interpolate import Interpolate
from upsamplers.registry import register


@register("bilinear-triton", devices=("cuda",), reference="bilinear", year=0)
class BilinearTriton(TritonOperator, Interpolate):
    """Bilinear interpolation in one kernel each way, by the same code that samples displaced points.

    Args:
        channels: C.
        scale: s.
    """

    OPERATIONS = "_point_ops"

    def __init__(self, channels: int, *, scale: int = 2) -> None:
        super().__init__(channels, scale=scale, rule="bilinear")

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW).

        Raises:
            Unsupported: x is not such a feature, on CUDA, of float32, float16 or bfloat16.
        """
        require_features(x, self.channels)
        require_supported("bilinear", x)
        out: Tensor = torch.ops.upsamplers.interpolate_bilinear(dense(x), self.scale)
        return out
