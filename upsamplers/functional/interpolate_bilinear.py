"""Bilinear interpolation by an integer scale."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.precision import without_autocast
from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import uses_triton


def interpolate_bilinear(x: Tensor, scale: int, *, backend: str = "auto") -> Tensor:
    """`torch.nn.functional.interpolate` with half-pixel centres (align_corners=False).

    Args:
        x: (B, C, H, W).
        scale: s.
        backend: "auto", "torch" or "triton".

    Returns:
        (B, C, sH, sW) in x's dtype and memory format.

    Raises:
        Unsupported: the backend cannot run.
    """
    with stage("interpolation"):
        if uses_triton(backend, x, scale=scale):
            from upsamplers.functional._triton import points
            from upsamplers.functional._triton.launch import dense

            out: Tensor = points.bilinear(dense(x), scale)
            return out
        with without_autocast(x):  # which would answer in float32 on CUDA
            return F.interpolate(x, scale_factor=float(scale), mode="bilinear", align_corners=False)
