"""Reassembly from logits as one operation, which autograd, torch.compile and the FLOP counter know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from upsamplers.fused import _window_kernels as kernels
from upsamplers.fused._launch import PLAIN, empty_like, is_wide, kind, laid_out, launch, lies_in_rows, up_to_two


@torch.library.custom_op("upsamplers::window_sum", mutates_args=())
def window_sum(
    x: Tensor, logits: Tensor, own: Tensor | None, kernel: int, groups: int, scale: int, mode: int, keep: bool
) -> tuple[Tensor, Tensor]:
    """Reassembles x with weights that are found where they are used.

    Args:
        x: (B, C, H, W).
        logits: (B, Zk²s², H, W), as a convolution at x's size makes them, or (B, Zk², sH, sW).
        own: (B, Zk², H, W), added to the logits of all s² output pixels; or None.
        kernel, groups, scale: k, Z and s.
        mode: SOFTMAX over a window's logits, SIGMOID_SOFTMAX over their sigmoids, PLAIN: logits are weights.
        keep: whether the logarithmic sums are wanted.

    Returns:
        (B, C, sH, sW) in x's dtype; and float32 (B, Z, s², H, W): log Σ exp of each output pixel's logits, or nothing.
    """
    batch, channels, height, width = x.shape
    out = empty_like(x, (batch, channels, scale * height, scale * width))
    keep = keep and mode != PLAIN
    lse = x.new_empty((batch, groups, scale**2, height, width) if keep else (0,), dtype=torch.float32)
    shared = logits if own is None else own
    launch(
        kernels.window_sum,
        height, width, channels // groups, batch * groups,
        x, logits, shared, out, lse, channels // groups, height, width, groups, *kind(x, groups),
        *x.stride(), *out.stride(), *_logit_strides(logits, x, kernel, scale), *_own_strides(shared, kernel),
        K=kernel, S=scale, SUBS=up_to_two(scale**2), MODE=mode, IN_ROWS=lies_in_rows(out),
        HAS_OWN=own is not None, STORE_LSE=keep, WIDE=is_wide(out, logits),
    )  # fmt: skip
    return out, lse


@torch.library.custom_op("upsamplers::window_sum_features_backward", mutates_args=())
def window_sum_features_backward(
    grad: Tensor, logits: Tensor, own: Tensor | None, lse: Tensor, x: Tensor,
    kernel: int, groups: int, scale: int, mode: int,
) -> Tensor:  # fmt: skip
    """The gradient of x, gathered: no two programs write one place, so that it is the same each time."""
    batch, channels, height, width = x.shape
    grad_x = empty_like(x, x.shape)
    shared = logits if own is None else own
    launch(
        kernels.window_sum_features_backward,
        height, width, channels // groups, batch * groups,
        logits, shared, lse, grad, grad_x, channels // groups, height, width, groups, *kind(x, groups),
        *grad_x.stride(), *grad.stride(), *_logit_strides(logits, x, kernel, scale), *_own_strides(shared, kernel),
        K=kernel, S=scale, SIDES=up_to_two(scale), MODE=mode, HAS_OWN=own is not None, WIDE=is_wide(grad, logits),
    )  # fmt: skip
    return grad_x


@torch.library.custom_op("upsamplers::window_sum_logits_backward", mutates_args=())
def window_sum_logits_backward(
    grad: Tensor, x: Tensor, logits: Tensor, own: Tensor | None, lse: Tensor,
    kernel: int, groups: int, scale: int, mode: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The gradients of the logits and of what is their own (or nothing)."""
    batch, channels, height, width = x.shape
    grad_logits = torch.empty_like(logits)
    shared = logits if own is None else own
    grad_own = x.new_empty(0) if own is None else torch.empty_like(own)
    launch(
        kernels.window_sum_logits_backward,
        height, width, None, batch * groups,
        x, logits, shared, lse, grad, grad_logits, grad_own,
        channels // groups, height, width, groups, *kind(x, groups),
        *x.stride(), *grad.stride(), *_logit_strides(logits, x, kernel, scale), *_own_strides(shared, kernel),
        K=kernel, S=scale, TAPS=up_to_two(kernel**2), SUBS=up_to_two(scale**2), MODE=mode, HAS_OWN=own is not None,
        WIDE=is_wide(grad, logits),
    )  # fmt: skip
    return grad_logits, grad_own


def _logit_strides(logits: Tensor, x: Tensor, kernel: int, scale: int) -> tuple[int, ...]:
    """Of (batch, group, tap, row, column, row in the cell, column in the cell)."""
    batch, channel, row, column = logits.stride()
    if logits.shape[2:] == x.shape[2:] and scale > 1:  # before the pixel shuffle: a tap has s² channels
        taps = kernel**2 * scale**2
        return batch, taps * channel, scale**2 * channel, row, column, scale * channel, channel
    return batch, kernel**2 * channel, channel, scale * row, scale * column, row, column


def _own_strides(own: Tensor, kernel: int) -> tuple[int, ...]:
    """Of (batch, group, tap, row, column)."""
    batch, channel, row, column = own.stride()
    return batch, kernel**2 * channel, channel, row, column


@window_sum.register_fake
def _(
    x: Tensor, logits: Tensor, own: Tensor | None, kernel: int, groups: int, scale: int, mode: int, keep: bool
) -> tuple[Tensor, Tensor]:
    batch, channels, height, width = x.shape
    kept = keep and mode != PLAIN
    lse = x.new_empty((batch, groups, scale**2, height, width) if kept else (0,), dtype=torch.float32)
    return empty_like(x, (batch, channels, scale * height, scale * width)), lse


@window_sum_features_backward.register_fake
def _(grad: Tensor, logits: Tensor, own: Tensor | None, lse: Tensor, x: Tensor, *sizes: int) -> Tensor:
    return empty_like(x, x.shape)


@window_sum_logits_backward.register_fake
def _(grad: Tensor, x: Tensor, logits: Tensor, own: Tensor | None, lse: Tensor, *sizes: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(logits), x.new_empty(0) if own is None else torch.empty_like(own)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, logits, own, kernel, groups, scale, mode, _ = inputs
    ctx.save_for_backward(x, logits, own, output[1])
    ctx.sizes = (kernel, groups, scale, mode)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # for what has none


def _backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 8
    x, logits, own, lse = ctx.saved_tensors
    kernel, groups, scale, mode = ctx.sizes
    if mode != PLAIN and not lse.numel():  # the forward was not told of a backward
        lse = window_sum(x, logits, own, kernel, groups, scale, mode, True)[1]
    grad, grad_x, grad_logits, grad_own = laid_out(grad), None, None, None
    if ctx.needs_input_grad[0]:
        grad_x = window_sum_features_backward(grad, logits, own, lse, x, *ctx.sizes)
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        grad_logits, found = window_sum_logits_backward(grad, x, logits, own, lse, *ctx.sizes)
        grad_own = None if own is None else found
    return grad_x, grad_logits, grad_own, None, None, None, None, None


window_sum.register_autograd(_backward, setup_context=_keep)


@register_flop_formula(torch.ops.upsamplers.window_sum)
def _multiplications(x: Any, logits: Any, own: Any, kernel: int, groups: int, scale: int, *_: Any, **__: Any) -> int:
    """Two a multiply-add, as torch counts: a sum over the window for each element of the output."""
    batch, channels, height, width = x
    return int(2 * kernel**2 * batch * channels * scale**2 * height * width)
