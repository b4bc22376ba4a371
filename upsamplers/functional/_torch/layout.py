"""Memory formats of features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def is_channels_last(x: Tensor) -> bool:
    """Whether x (B, C, H, W), or what it is a slice of, is channels_last and not contiguous; under torch.func no."""
    if x.is_contiguous():
        return False
    is_transformed = not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None
    return not is_transformed and x.shape[1] > 1 and x.stride(1) == 1  # vmap makes no channels_last output


def laid_out_as(x: Tensor, out: Tensor) -> Tensor:
    """The output in the memory format of x: channels_last, or contiguous."""
    return out.contiguous(memory_format=torch.channels_last if is_channels_last(x) else torch.contiguous_format)


def empty_feature(x: Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
    """An uninitialised feature laid out as x is: channels_last, or contiguous."""
    layout = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    return torch.empty(tuple(shape), dtype=dtype or x.dtype, device=x.device, memory_format=layout)
