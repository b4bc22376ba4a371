"""Bicubic interpolation with half-pixel centres."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import uses_triton


def interpolate_bicubic(x: Tensor, scale: int, *, backend: str = "auto") -> Tensor:
    """Bicubic interpolation (Keys, TASSP 1981), as torch's with align_corners=False; the border is repeated.

    Args:
        x: (B, C, H, W).
        scale: s.
        backend: as in `upsamplers.create`. The Triton form has no second derivatives.

    Returns:
        (B, C, sH, sW) in x's dtype.

    Raises:
        Unsupported: the backend cannot run.
    """
    with stage("interpolation"):
        if uses_triton(backend, x, scale=scale):
            from upsamplers.functional._triton import bicubic

            out: Tensor = bicubic.interpolate_bicubic(x, scale)
            return out
        # Under autocast torch interpolates in float32.
        return F.interpolate(x, scale_factor=float(scale), mode="bicubic", align_corners=False).to(x.dtype)
