"""FADE in Triton: its convolutions, and one kernel from both features' logits to the output."""

from __future__ import annotations

import torch
from torch import Tensor

from upsamplers.checks import require_features, require_guide
from upsamplers.fused._launch import SOFTMAX, TritonOperator, dense, require_supported
from upsamplers.operators.fade import PAPER, Fade
from upsamplers.registry import register


@register("fade-triton", devices=("cuda",), reference="fade", paper=PAPER, year=2022)
class FadeTriton(TritonOperator, Fade):
    """FADE without its normalised weights, nor x's logits at the size of the guide, in memory.

    Args: see Fade.
    """

    OPERATIONS = "_window_ops"

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, sH, sW) -> (B, C, sH, sW).

        Raises:
            Unsupported: x or the guide is not such a feature, on CUDA, of float32, float16 or bfloat16, or the window
                or the scale is too large.
        """
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        require_supported("fade", x, guide, kernel=self.up_kernel, scale=self.scale)
        x = dense(x)
        shared_logits, logits = map(dense, self.ker_generator.parts(x, guide))
        out: Tensor = torch.ops.upsamplers.window_sum(
            x, logits, shared_logits, self.up_kernel, 1, self.scale, SOFTMAX, torch.is_grad_enabled()
        )[0]
        if self.gate_generator is None:
            return out
        return torch.lerp(out, guide.to(x.dtype), self.gate_generator(x).to(x.dtype))
