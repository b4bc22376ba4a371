"""A2U in Triton: the reassembly by its weights in one kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from upsamplers.checks import require_features, require_guide
from upsamplers.fused._launch import SIGMOID_SOFTMAX, TritonOperator, dense, require_supported
from upsamplers.operators.a2u import A2U, KERNEL
from upsamplers.registry import register


@register("a2u-triton", scales=(2,), devices=("cuda",), reference="a2u", paper="Dai et al., CVPR 2021", year=2021)
class A2UTriton(TritonOperator, A2U):
    """A2U with the sigmoids, the pixel shuffle, the softmax and the reassembly in one kernel.

    Args: see A2U.
    """

    OPERATIONS = "_window_ops"

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, 2H, 2W) -> (B, C, 2H, 2W).

        Raises:
            Unsupported: x or the guide is not such a feature, on CUDA, of float32, float16 or bfloat16, or a group of
                the norms has a single value.
        """
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        require_supported("a2u", x, guide)
        self.require_norms(x)
        logits = dense(self.kernel_gen.logits(guide))  # (B, 36, H, W)
        out: Tensor = torch.ops.upsamplers.window_sum(
            dense(x), logits, None, KERNEL, 1, self.scale, SIGMOID_SOFTMAX, torch.is_grad_enabled()
        )[0]
        return out
