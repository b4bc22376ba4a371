"""Local affinity: how alike each high-resolution pixel is to the low-resolution pixels around it."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from upsamplers.errors import Unsupported
from upsamplers.functional._torch.capturing import is_being_captured
from upsamplers.functional._torch.differentiable import gradients_again
from upsamplers.functional._torch.reflection import mirror_taps
from upsamplers.functional._torch.window_products import gradients, weighted_sums, window_dots
from upsamplers.functional.reassemble import require_border, shifted_copies


def local_affinity(query: Tensor, key: Tensor, kernel: int, *, scale: int = 2, border: str = "zeros") -> Tensor:
    """Products of a query with the window of keys around it (SAPA, NeurIPS 2022, section 3.2).

    logits[b, m, i, j] = Σ_c query[b, c, i, j] · key[b, c, i//s + dy, j//s + dx], where (dy, dx) runs over the k x k
    window row by row (m = 0..k²-1), and a key outside the borders is zero, or reflected at them. It is the transpose
    of `reassemble` in its weights, and shares its blocks: no window of keys is copied out, forward or backward, which
    reads them again.

    A program that is being compiled, exported or traced gets the same sums as k² multiplications and reductions. On
    CPU, half precision is summed in float32. Second derivatives are supported.

    Args:
        query: (B, D, sH, sW).
        key: (B, D, H, W) in the query's dtype.
        kernel: k, odd.
        scale: s.
        border: what lies beyond the borders of the keys: "zeros" or "reflection" (which needs H, W > k // 2).

    Returns:
        (B, k², sH, sW).

    Raises:
        Unsupported: kernel is even, query and key do not fit, or the keys are too few to reflect.
    """
    if is_being_captured():
        return shifted_dots(query, key, kernel, scale=scale, border=border)
    _require_fitting(query, key, kernel, scale)
    require_border(key, kernel, border)
    logits: Tensor = _Affinity.apply(query, key, kernel, scale)  # type: ignore[no-untyped-call]
    return mirror_taps(logits, kernel, scale) if border == "reflection" else logits


def shifted_dots(query: Tensor, key: Tensor, kernel: int, *, scale: int = 2, border: str = "zeros") -> Tensor:
    """`local_affinity` in plain differentiable operations on images: k² · D · sH · sW products an image.

    Args:
        query: (B, D, sH, sW).
        key: (B, D, H, W).
        kernel, scale, border: as there.

    Returns:
        (B, k², sH, sW).
    """
    sums = [(query * shifted).sum(1, keepdim=True) for shifted in shifted_copies(key, kernel, scale, border)]
    return torch.cat(sums, dim=1)


class _Affinity(Function):
    """Keeps query and key alone for backward, which reads the windows again."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, kernel: int, scale: int) -> Tensor:
        ctx.save_for_backward(query, key)
        ctx.sizes = (kernel, scale)
        return window_dots(key, query, kernel, 1, scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key = ctx.saved_tensors
        kernel, scale = ctx.sizes
        needs = ctx.needs_input_grad[:2]
        # Only where gradients of gradients are asked for.
        if torch.is_grad_enabled():
            form = partial(shifted_dots, kernel=kernel, scale=scale)
            return *gradients_again(form, (query, key), grad, needs), None, None
        grad_query = weighted_sums(key, grad, kernel, 1, scale) if needs[0] else None
        grad_key = gradients(key, grad, query, kernel, 1, scale, needs=(True, False))[0] if needs[1] else None
        return grad_query, grad_key, None, None


def _require_fitting(query: Tensor, key: Tensor, kernel: int, scale: int) -> None:
    if kernel < 1 or kernel % 2 == 0:
        raise Unsupported(f"a window of {kernel} x {kernel} has no middle; expected an odd kernel")
    batch, channels, height, width = key.shape
    expected = (batch, channels, scale * height, scale * width)
    if tuple(query.shape) != expected or query.dtype != key.dtype:
        raise Unsupported(
            f"the query is {query.dtype} of shape {tuple(query.shape)}; expected {key.dtype} of shape {expected} for "
            f"keys {tuple(key.shape)}"
        )
