"""Memory formats of features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def empty_feature(x: Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
    """An uninitialised feature laid out as x is: channels_last, or contiguous."""
    is_channels_last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if is_channels_last else torch.contiguous_format
    return torch.empty(tuple(shape), dtype=dtype or x.dtype, device=x.device, memory_format=layout)
