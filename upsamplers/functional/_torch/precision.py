"""Keeping float32 where half precision would lose the place of a pixel."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from upsamplers.checks import is_autocast


def coordinate_dtype(x: Tensor) -> torch.dtype:
    """The dtype for coordinates in x: never less than float32, whose steps stay far below a pixel."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """What is computed from x in this context keeps its dtype, also where autocast is on."""
    return torch.autocast(x.device.type, enabled=False) if is_autocast(x) else nullcontext()
