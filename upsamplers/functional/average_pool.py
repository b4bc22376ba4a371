"""Adaptive average pooling and the average of the image, in one read of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.stage import stage
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
    with stage("pooling"):
        if uses_triton(backend, y):
            from upsamplers.functional._triton import average_pool as fused
            from upsamplers.functional._triton.launch import dense

            pooled, mean = fused.average_pool(dense(y), side)
            return pooled, mean
        return _pooled(y, side, side), y.mean((2, 3), keepdim=True)


def pool_to(y: Tensor, height: int, width: int) -> Tensor:
    """An image (B, G, h, w) averaged to (B, G, height, width), as by F.adaptive_avg_pool2d; itself if that is its size.

    Where the image is smaller, its pixels repeat.
    """
    return y if y.shape[2] == height and y.shape[3] == width else _pooled(y, height, width)


def _pooled(y: Tensor, height: int, width: int) -> Tensor:
    # Exporters have no such pool for sizes that they do not know, the older one only for multiples of the bins.
    if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
        return _averages(y.shape[2], height, y) @ y @ _averages(y.shape[3], width, y).transpose(0, 1)
    return F.adaptive_avg_pool2d(y, (height, width))


def _averages(size: int, side: int, like: Tensor) -> Tensor:
    """A matrix (side, size) whose row i is 1/n on the n places from floor(i·size/side) to ceil((i+1)·size/side)."""
    index = torch.arange(size, device=like.device)
    row = torch.arange(side, device=like.device).unsqueeze(1)
    first, end = row * size // side, ((row + 1) * size + side - 1) // side  # (side, 1) each
    inside = ((index >= first) & (index < end)).to(like.dtype)
    return inside / (end - first)
