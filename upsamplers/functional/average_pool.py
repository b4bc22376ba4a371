"""Adaptive average pooling and the average of the image, in one read of it."""

from __future__ import annotations

from torch import Tensor

from upsamplers.functional._torch.adaptive_pool import adaptive_average_pool
from upsamplers.functional.backend import uses_triton


def average_pool(y: Tensor, side: int, *, backend: str = "auto") -> tuple[Tensor, Tensor]:
    """The adaptive average pool of an image, as of F.adaptive_avg_pool2d, and the average of all its pixels.

    Args:
        y: (B, G, H, W), of any floating-point dtype.
        side: of the pool, in bins.
        backend: as in `upsamplers.create`; Triton reads y once for both, and its gradient is deterministic.

    Returns:
        (B, G, side, side) and (B, G, 1, 1).

    Raises:
        Unsupported: the backend cannot take y.
    """
    if uses_triton(backend, y):
        from upsamplers.functional._triton import average_pool as fused
        from upsamplers.functional._triton.launch import dense

        pooled, mean = fused.average_pool(dense(y), side)
        return pooled, mean
    return adaptive_average_pool(y, (side, side)), y.mean((2, 3), keepdim=True)
