"""Gradients that can be differentiated again, for functions with a backward of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def gradients_again(
    form: Callable[..., Tensor], inputs: Sequence[Tensor], grad: Tensor, needs: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """The gradients of a function's inputs by operations that autograd can go through again.

    Args:
        form: the function in plain differentiable operations.
        inputs: its inputs.
        grad: of its output.
        needs: which inputs' gradients are needed; the others are None.
    """
    # Views, since one input may have been computed from another: that part of the gradient is the caller's graph's.
    views = [tensor.view_as(tensor) for tensor in inputs]
    needed_views = [view for view, needed in zip(views, needs, strict=True) if needed]
    gradients = list(torch.autograd.grad(form(*views), needed_views, grad, create_graph=True))
    return tuple(gradients.pop(0) if needed else None for needed in needs)
