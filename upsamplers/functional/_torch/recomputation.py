"""Keeping only the inputs of a step for backward, which computes the step again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.plain_operations import needs_plain_operations


def recomputed(step: Callable[..., Tensor], *inputs: Tensor, layers: Iterable[nn.Module] = ()) -> Tensor:
    """step(*inputs), of which backward keeps the inputs alone; second derivatives are supported.

    Layers with hooks or parametrisations are called once, and everything is kept; so it is in recorded programs.

    Args:
        step: without randomness.
        inputs: of the step.
        layers: that the step calls.
    """
    if not torch.is_grad_enabled() or needs_plain_operations() or not is_plain(*layers):
        return step(*inputs)
    return checkpoint(step, *inputs, use_reentrant=False, preserve_rng_state=False)  # type: ignore[no-any-return]
