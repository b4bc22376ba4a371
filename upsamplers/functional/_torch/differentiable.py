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
    # Views: one input may have been made of another, and what comes through that is not this function's to count.
    own = [one.view_as(one) for one in inputs]
    wanted = [one for one, needed in zip(own, needs, strict=True) if needed]
    found = iter(torch.autograd.grad(form(*own), wanted, grad, create_graph=True))
    return tuple(next(found) if needed else None for needed in needs)
