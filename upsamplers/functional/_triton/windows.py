"""Reassembly from logits as one operation, which autograd, torch.compile and the FLOP counter know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from upsamplers.functional._triton import window_kernels as kernels
from upsamplers.functional._triton.launch import (
    PLAIN,
    empty_feature,
    empty_upsampled,
    is_wide,
    launch,
    materialized,
    next_power_of_2,
    tile_grid,
    tuning_keys,
)


@torch.library.custom_op("upsamplers::window_sum", mutates_args=())
def window_sum(
    x: Tensor, logits: Tensor, shared_logits: Tensor | None,
    kernel: int, groups: int, scale: int, mode: int, keep_lse: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Reassembles x with weights that are computed where they are used.

    Args:
        x: (B, C, H, W).
        logits: (B, Zk²s², H, W), as a convolution at x's size makes them, or (B, Zk², sH, sW).
        shared_logits: (B, Zk², H, W), added to the logits of all s² output pixels; or None.
        kernel, groups, scale: k, Z and s.
        mode: SOFTMAX over a window's logits, SIGMOID_SOFTMAX over their sigmoids, PLAIN: logits are weights.
        keep_lse: whether a backward will need the logarithmic sums.

    Returns:
        (B, C, sH, sW) in x's dtype; and float32 (B, Z, s², H, W): log Σ exp of each output pixel's logits, or nothing.
    """
    batch, channels, height, width = x.shape
    keep_lse = keep_lse and mode != PLAIN
    out, lse = empty_upsampled(x, scale), empty_lse(x, groups, scale, keep_lse)
    shared = logits if shared_logits is None else shared_logits
    launch(
        kernels.window_sum_fwd_kernel,
        tile_grid(height, width, channels // groups, batch * groups),
        x, logits, shared, out, lse, channels // groups, height, width, groups, *tuning_keys(x, groups),
        *x.stride(), *out.stride(), *_logit_strides(logits, x, kernel, scale), *_shared_strides(shared, kernel),
        K=kernel, S=scale, SUBS=next_power_of_2(scale**2), MODE=mode, IN_ROWS=out.stride(3) == 1,
        HAS_SHARED=shared_logits is not None, STORE_LSE=keep_lse, WIDE=is_wide(out, logits),
    )  # fmt: skip
    return out, lse


@torch.library.custom_op("upsamplers::window_sum_bwd_dx", mutates_args=())
def window_sum_bwd_dx(
    grad: Tensor, logits: Tensor, shared_logits: Tensor | None, lse: Tensor, x: Tensor,
    kernel: int, groups: int, scale: int, mode: int,
) -> Tensor:  # fmt: skip
    """The gradient of x, gathered: no two programs write to one element, so that it is the same each time."""
    batch, channels, height, width = x.shape
    grad_x = empty_feature(x, x.shape)
    shared = logits if shared_logits is None else shared_logits
    launch(
        kernels.window_sum_bwd_dx_kernel,
        tile_grid(height, width, channels // groups, batch * groups),
        logits, shared, lse, grad, grad_x, channels // groups, height, width, groups, *tuning_keys(x, groups),
        *grad_x.stride(), *grad.stride(), *_logit_strides(logits, x, kernel, scale), *_shared_strides(shared, kernel),
        K=kernel, S=scale, SIDES=next_power_of_2(scale), MODE=mode, HAS_SHARED=shared_logits is not None,
        WIDE=is_wide(grad, logits),
    )  # fmt: skip
    return grad_x


@torch.library.custom_op("upsamplers::window_sum_bwd_dlogits", mutates_args=())
def window_sum_bwd_dlogits(
    grad: Tensor, x: Tensor, logits: Tensor, shared_logits: Tensor | None, lse: Tensor,
    kernel: int, groups: int, scale: int, mode: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The gradients of the logits and of the shared ones (or nothing)."""
    batch, channels, height, width = x.shape
    grad_logits = torch.empty_like(logits)
    shared = logits if shared_logits is None else shared_logits
    grad_shared = x.new_empty(0) if shared_logits is None else torch.empty_like(shared_logits)
    launch(
        kernels.window_sum_bwd_dlogits_kernel,
        tile_grid(height, width, None, batch * groups),
        x, logits, shared, lse, grad, grad_logits, grad_shared,
        channels // groups, height, width, groups, *tuning_keys(x, groups),
        *x.stride(), *grad.stride(), *_logit_strides(logits, x, kernel, scale), *_shared_strides(shared, kernel),
        K=kernel, S=scale, TAPS=next_power_of_2(kernel**2), SUBS=next_power_of_2(scale**2), MODE=mode,
        HAS_SHARED=shared_logits is not None, WIDE=is_wide(grad, logits),
    )  # fmt: skip
    return grad_logits, grad_shared


def empty_lse(x: Tensor, groups: int, scale: int, keep_lse: bool) -> Tensor:
    """Uninitialised logarithmic sums (B, Z, s², H, W), or nothing."""
    batch, _, height, width = x.shape
    return x.new_empty((batch, groups, scale**2, height, width) if keep_lse else (0,), dtype=torch.float32)


def _logit_strides(logits: Tensor, x: Tensor, kernel: int, scale: int) -> tuple[int, ...]:
    """Of (batch, group, tap, row, column, row of a sub-pixel, column of a sub-pixel)."""
    batch, channel, row, column = logits.stride()
    if logits.shape[2:] == x.shape[2:] and scale > 1:  # before the pixel shuffle: a tap has s² channels
        taps = kernel**2 * scale**2
        return batch, taps * channel, scale**2 * channel, row, column, scale * channel, channel
    return batch, kernel**2 * channel, channel, scale * row, scale * column, row, column


def _shared_strides(shared_logits: Tensor, kernel: int) -> tuple[int, ...]:
    """Of (batch, group, tap, row, column)."""
    batch, channel, row, column = shared_logits.stride()
    return batch, kernel**2 * channel, channel, row, column


@window_sum.register_fake
def _(
    x: Tensor, logits: Tensor, shared_logits: Tensor | None,
    kernel: int, groups: int, scale: int, mode: int, keep_lse: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    return empty_upsampled(x, scale), empty_lse(x, groups, scale, keep_lse and mode != PLAIN)


@window_sum_bwd_dx.register_fake
def _(grad: Tensor, logits: Tensor, shared_logits: Tensor | None, lse: Tensor, x: Tensor, *sizes: int) -> Tensor:
    return empty_feature(x, x.shape)


@window_sum_bwd_dlogits.register_fake
def _(
    grad: Tensor, x: Tensor, logits: Tensor, shared_logits: Tensor | None, lse: Tensor, *sizes: int
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(logits), x.new_empty(0) if shared_logits is None else torch.empty_like(shared_logits)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, logits, shared_logits, kernel, groups, scale, mode, _ = inputs
    ctx.save_for_backward(x, logits, shared_logits, output[1])
    ctx.sizes = (kernel, groups, scale, mode)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 8
    x, logits, shared_logits, lse = ctx.saved_tensors
    if ctx.sizes[-1] != PLAIN and not lse.numel():  # the forward was not asked to keep them
        lse = window_sum(x, logits, shared_logits, *ctx.sizes, True)[1]
    grad = materialized(grad)
    grad_x = grad_logits = grad_shared = None
    if ctx.needs_input_grad[0]:
        grad_x = window_sum_bwd_dx(grad, logits, shared_logits, lse, x, *ctx.sizes)
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        grad_logits, grad_shared = window_sum_bwd_dlogits(grad, x, logits, shared_logits, lse, *ctx.sizes)
    return grad_x, grad_logits, None if shared_logits is None else grad_shared, None, None, None, None, None


window_sum.register_autograd(_backward, setup_context=_setup_context)


@register_flop_formula(torch.ops.upsamplers.window_sum)
def _flops(x: Any, logits: Any, shared_logits: Any, kernel: int, groups: int, scale: int, *_: Any, **__: Any) -> int:
    """Two a multiply-add, as torch counts: a sum over the window for each element of the output."""
    batch, channels, height, width = x
    return int(2 * kernel**2 * batch * channels * scale**2 * height * width)
