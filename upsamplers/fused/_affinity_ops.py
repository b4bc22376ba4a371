"""Reassembly from queries and keys as one operation, which autograd, torch.compile and the FLOP counter know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from upsamplers.fused import _affinity_kernels as kernels
from upsamplers.fused._launch import (
    PLAIN,
    SOFTMAX,
    empty_like,
    is_wide,
    kind,
    laid_out,
    launch,
    lies_in_rows,
    up_to_two,
)
from upsamplers.fused._window_ops import window_sum, window_sum_features_backward, window_sum_logits_backward


@torch.library.custom_op("upsamplers::affinity_sum", mutates_args=())
def affinity_sum(x: Tensor, query: Tensor, key: Tensor, kernel: int, scale: int, keep: bool) -> tuple[Tensor, Tensor]:
    """Reassembles x with the softmax of the products of queries with the keys around them.

    Args:
        x: (B, C, H, W).
        query: (B, D, sH, sW).
        key: (B, D, H, W).
        kernel, scale: k and s.
        keep: whether the logarithmic sums are wanted.

    Returns:
        (B, C, sH, sW) in x's dtype; and float32 (B, 1, s², H, W): log Σ exp of each output pixel's logits, or nothing.
    """
    batch, channels, height, width = x.shape
    out = empty_like(x, (batch, channels, scale * height, scale * width))
    lse = x.new_empty((batch, 1, scale**2, height, width) if keep else (0,), dtype=torch.float32)
    launch(
        kernels.affinity_sum,
        height, width, channels, batch,
        x, query, key, out, lse, channels, key.shape[1], height, width, *kind(x),
        *x.stride(), *out.stride(), *query.stride(), *key.stride(),
        K=kernel, S=scale, SUBS=up_to_two(scale**2), DIM=up_to_two(key.shape[1]),
        IN_ROWS=lies_in_rows(out) and lies_in_rows(query), STORE_LSE=keep, WIDE=is_wide(out, query),
    )  # fmt: skip
    return out, lse


@affinity_sum.register_fake
def _(x: Tensor, query: Tensor, key: Tensor, kernel: int, scale: int, keep: bool) -> tuple[Tensor, Tensor]:
    batch, channels, height, width = x.shape
    lse = x.new_empty((batch, 1, scale**2, height, width) if keep else (0,), dtype=torch.float32)
    return empty_like(x, (batch, channels, scale * height, scale * width)), lse


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, query, key, kernel, scale, _ = inputs
    ctx.save_for_backward(x, query, key, output[1])
    ctx.sizes = (kernel, scale)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # for what has none


def _backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    """Finds the logits again, of the size of which then are they and their gradients; the rest is as for any logits.

    The logits are the gradients that plain weights would have, were the queries the gradient and the keys the feature.
    """
    if grad is None:
        return (None,) * 6
    x, query, key, lse = ctx.saved_tensors
    kernel, scale = ctx.sizes
    batch, _, height, width = x.shape
    sizes = (kernel, 1, scale)
    if not lse.numel():  # the forward was not told of a backward
        lse = affinity_sum(x, query, key, kernel, scale, True)[1]
    grad = laid_out(grad)
    shape = key.new_empty((batch, kernel**2 * scale**2, height, width), dtype=torch.float32)
    logits, _ = window_sum_logits_backward(query, key, shape, None, lse, *sizes, PLAIN)
    del shape
    grad_x = grad_query = grad_key = None
    if ctx.needs_input_grad[0]:
        grad_x = window_sum_features_backward(grad, logits, None, lse, x, *sizes, SOFTMAX)
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        slopes, _ = window_sum_logits_backward(grad, x, logits, None, lse, *sizes, SOFTMAX)
        if ctx.needs_input_grad[1]:
            grad_query = window_sum(key, slopes, None, *sizes, PLAIN, False)[0]
        if ctx.needs_input_grad[2]:
            grad_key = window_sum_features_backward(query, slopes, None, lse, key, *sizes, PLAIN)
    return grad_x, grad_query, grad_key, None, None, None


affinity_sum.register_autograd(_backward, setup_context=_keep)


@register_flop_formula(torch.ops.upsamplers.affinity_sum)
def _multiplications(x: Any, query: Any, key: Any, kernel: int, scale: int, *_: Any, **__: Any) -> int:
    """Two a multiply-add, as torch counts: products with the keys, and the sum over the window."""
    batch, channels, height, width = x
    return int(2 * kernel**2 * batch * (channels + key[1]) * scale**2 * height * width)
