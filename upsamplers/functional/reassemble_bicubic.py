"""Reassembly of a bicubically upsampled feature at its own resolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.bicubic_taps import composed_kernel, composed_weights
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import uses_triton
from upsamplers.functional.reassemble import reassemble


def reassemble_bicubic(x: Tensor, weights: Tensor, kernel: int, *, scale: int, backend: str = "auto") -> Tensor:
    """`reassemble(bicubic(x), weights, kernel, scale=1, border="reflection")`, without the upsampled x.

    The interpolation (Keys, TASSP 1981; as torch's with align_corners=False) goes into the weights, which become those
    of a window of x. Programs that are recorded or transformed get the two steps.

    Args:
        x: (B, C, H, W).
        weights: (B, k², sH, sW), where sH, sW > k // 2.
        kernel, scale: k, odd, and s.
        backend: as in `upsamplers.create`.

    Returns:
        (B, C, sH, sW) in x's dtype and memory format.

    Raises:
        Unsupported: as `reassemble`.
    """
    composed = composed_kernel(kernel, scale)
    if uses_triton(backend, x, weights, kernel=kernel) and uses_triton(backend, x, kernel=composed, scale=scale):
        with stage("interpolation"):
            from upsamplers.functional._triton.bicubic_taps import bicubic_taps

            weights = bicubic_taps(weights, kernel, scale, False)
    elif needs_plain_operations():
        with stage("interpolation"):
            # Under autocast torch interpolates in float32.
            smooth = F.interpolate(x, scale_factor=float(scale), mode="bicubic", align_corners=False).to(x.dtype)
        return reassemble(smooth, weights, kernel, scale=1, border="reflection", backend="torch")
    else:
        with stage("interpolation"):
            weights = composed_weights(weights, kernel, scale)
    return reassemble(x, weights, composed, scale=scale, backend=backend)
