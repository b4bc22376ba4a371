"""CARAFE in Triton: its two convolutions, and one kernel from their logits to the output."""

from __future__ import annotations

import torch
from torch import Tensor

from upsamplers.checks import require_features
from upsamplers.fused._launch import SOFTMAX, TritonOperator, dense, require_supported
from upsamplers.operators.carafe import Carafe
from upsamplers.registry import register


@register("carafe-triton", devices=("cuda",), reference="carafe", paper="Wang et al., ICCV 2019", year=2019)
class CarafeTriton(TritonOperator, Carafe):
    """CARAFE without its normalised weights, nor their pixel shuffle, in memory.

    Args: see Carafe.
    """

    OPERATIONS = "_window_ops"

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW).

        Raises:
            Unsupported: x is not such a feature, on CUDA, of float32, float16 or bfloat16, or the window
                or the scale is too large.
        """
        require_features(x, self.channels)
        require_supported("carafe", x, kernel=self.up_kernel, scale=self.scale)
        x = dense(x)
        logits = dense(self.content_encoder(self.channel_compressor(x)))  # (B, Zk²s², H, W)
        out: Tensor = torch.ops.upsamplers.window_sum(
            x, logits, None, self.up_kernel, self.up_group, self.scale, SOFTMAX, torch.is_grad_enabled()
        )[0]
        return out
