"""SAPA in Triton: its projections, and one kernel from queries and keys to the output."""

from __future__ import annotations

import torch
from torch import Tensor

from upsamplers.fused._launch import TritonOperator, dense, require_supported
from upsamplers.operators.sapa import Sapa
from upsamplers.registry import register


@register("sapa-b-triton", devices=("cuda",), reference="sapa-b", paper="Lu et al., NeurIPS 2022", year=2022)
class SapaTriton(TritonOperator, Sapa):
    """SAPA without affinities or weights in memory; its backward has the affinities and their gradients in memory.

    Args: see Sapa.
    """

    OPERATIONS = "_affinity_ops"

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, sH, sW) -> (B, C, sH, sW).

        Raises:
            Unsupported: x or the guide is not such a feature, on CUDA, of float32, float16 or bfloat16, a group of the
                norm has a single value, or the window or the scale is too large.
        """
        self.require_inputs(x, guide)
        require_supported("sapa-b", x, guide, kernel=self.up_kernel, scale=self.scale)
        query, key = map(dense, self.query_and_key(x, guide))
        out: Tensor = torch.ops.upsamplers.affinity_sum(
            dense(x), query, key, self.up_kernel, self.scale, torch.is_grad_enabled()
        )[0]
        return out
