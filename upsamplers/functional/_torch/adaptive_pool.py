"""Adaptive average pooling, also in programs of any size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def adaptive_average_pool(y: Tensor, size: Sequence[int]) -> Tensor:
    """(B, G, H, W) -> (B, G, *size), as F.adaptive_avg_pool2d."""
    # Exporters have no such pool for sizes that they do not know, the older one only for multiples of the bins.
    if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
        return _averages(y.shape[2], size[0], y) @ y @ _averages(y.shape[3], size[1], y).transpose(0, 1)
    return F.adaptive_avg_pool2d(y, tuple(size))


def _averages(size: int, side: int, like: Tensor) -> Tensor:
    """A matrix (side, size) whose row i is 1/n on the n places from floor(i·size/side) to ceil((i+1)·size/side)."""
    index = torch.arange(size, device=like.device)
    row = torch.arange(side, device=like.device).unsqueeze(1)
    first, end = row * size // side, ((row + 1) * size + side - 1) // side  # (side, 1) each
    inside = ((index >= first) & (index < end)).to(like.dtype)
    return inside / (end - first)
