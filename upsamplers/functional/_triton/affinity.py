"""Reassembly from queries and keys as one operation, which autograd, torch.compile and the FLOP counter know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from upsamplers.functional._triton.affinity_kernels import affinity_sum_fwd_kernel
from upsamplers.functional._triton.launch import (
    PLAIN,
    SOFTMAX,
    empty_upsampled,
    is_wide,
    launch,
    materialized,
    next_power_of_2,
    tile_grid,
    tuning_keys,
)
from upsamplers.functional._triton.windows import empty_lse, window_sum, window_sum_bwd_dlogits, window_sum_bwd_dx


@torch.library.custom_op("upsamplers::affinity_sum", mutates_args=())
def affinity_sum(
    x: Tensor, query: Tensor, key: Tensor, kernel: int, scale: int, keep_lse: bool
) -> tuple[Tensor, Tensor]:
    """Reassembles x with the softmax of the products of queries with the keys around them.

    Args:
        x: (B, C, H, W).
        query: (B, D, sH, sW).
        key: (B, D, H, W).
        kernel, scale: k and s.
        keep_lse: whether a backward will need the logarithmic sums.

    Returns:
        (B, C, sH, sW) in x's dtype; and float32 (B, 1, s², H, W): log Σ exp of each output pixel's logits, or nothing.
    """
    batch, channels, height, width = x.shape
    out, lse = empty_upsampled(x, scale), empty_lse(x, 1, scale, keep_lse)
    launch(
        affinity_sum_fwd_kernel,
        tile_grid(height, width, channels, batch),
        x, query, key, out, lse, channels, key.shape[1], height, width, *tuning_keys(x),
        *x.stride(), *out.stride(), *query.stride(), *key.stride(),
        K=kernel, S=scale, SUBS=next_power_of_2(scale**2), DIM=next_power_of_2(key.shape[1]),
        IN_ROWS=out.stride(3) == query.stride(3) == 1, STORE_LSE=keep_lse, WIDE=is_wide(out, query),
    )  # fmt: skip
    return out, lse


@affinity_sum.register_fake
def _(x: Tensor, query: Tensor, key: Tensor, kernel: int, scale: int, keep_lse: bool) -> tuple[Tensor, Tensor]:
    return empty_upsampled(x, scale), empty_lse(x, 1, scale, keep_lse)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, query, key, kernel, scale, _ = inputs
    ctx.save_for_backward(x, query, key, output[1])
    ctx.sizes = (kernel, scale)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    """Computes the logits again and then has them and their gradients in memory; the rest is as for any logits.

    The logits are the gradients that plain weights would have, were the queries the gradient and the keys the feature.
    """
    if grad is None:
        return (None,) * 6
    x, query, key, lse = ctx.saved_tensors
    kernel, scale = ctx.sizes
    batch, _, height, width = x.shape
    sizes = (kernel, 1, scale)
    if not lse.numel():  # the forward was not asked to keep them
        lse = affinity_sum(x, query, key, kernel, scale, True)[1]
    grad = materialized(grad)
    shape = key.new_empty((batch, kernel**2 * scale**2, height, width), dtype=torch.float32)
    logits, _ = window_sum_bwd_dlogits(query, key, shape, None, lse, *sizes, PLAIN)
    del shape
    grad_x = grad_query = grad_key = None
    if ctx.needs_input_grad[0]:
        grad_x = window_sum_bwd_dx(grad, logits, None, lse, x, *sizes, SOFTMAX)
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        grad_logits, _ = window_sum_bwd_dlogits(grad, x, logits, None, lse, *sizes, SOFTMAX)
        if ctx.needs_input_grad[1]:
            grad_query = window_sum(key, grad_logits, None, *sizes, PLAIN, False)[0]
        if ctx.needs_input_grad[2]:
            grad_key = window_sum_bwd_dx(query, grad_logits, None, lse, key, *sizes, PLAIN)
    return grad_x, grad_query, grad_key, None, None, None


affinity_sum.register_autograd(_backward, setup_context=_setup_context)


@register_flop_formula(torch.ops.upsamplers.affinity_sum)
def _flops(x: Any, query: Any, key: Any, kernel: int, scale: int, *_: Any, **__: Any) -> int:
    """Two a multiply-add, as torch counts: products with the keys, and the sum over the window."""
    batch, channels, height, width = x
    return int(2 * kernel**2 * batch * (channels + key[1]) * scale**2 * height * width)
