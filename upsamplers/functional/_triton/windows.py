"""Reassembly and local affinity: operations of the window kernels, each with its gradients, also the second.

Weights and logits are (B, Zk²s², H, W), as a convolution at x's size makes them, or after their pixel shuffle
(B, Zk², sH, sW).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._torch.reflection import fold_taps
from upsamplers.functional._triton import window_kernels as kernels
from upsamplers.functional._triton.launch import Grid, empty_upsampled, launch, materialized, narrow, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional.backend import MOST_ELEMENTS, next_power_of_2

# Sums that a thread of `window_dots_by_tap_kernel` has registers for.
MOST_SUMS = 128


def _tiles(x: Tensor, groups: int, side: int = 1) -> Callable[[Mapping[str, int]], Grid]:
    """The grid (tiles of an image, blocks of channels, images · groups); a thread has `side` pixels side by side."""
    batch, channels, height, width = x.shape

    def grid(meta: Mapping[str, int]) -> Grid:
        rows, columns = meta["BLOCK_P"] // meta["BLOCK_W"], meta["BLOCK_W"] * side
        tiles = -(-height // rows) * -(-width // columns)
        return tiles, -(-(channels // groups) // meta["BLOCK_C"]), batch * groups

    return grid


def _is_channels_last(x: Tensor) -> bool:
    return x.stride(1) == 1 and x.stride(3) > 1


def _has_pairs(x: Tensor, weights: Tensor) -> bool:
    """Whether two pixels side by side lie so in x and in the weights, and every second one is aligned to two."""
    if x.stride(3) != 1 or weights.stride(3) != 1 or weights.shape[2:] != x.shape[2:]:
        return False
    return not any(number % 2 for number in (x.shape[3], *x.stride()[:3], *weights.stride()[:3]))


def _weight_strides(weights: Tensor, height: int, kernel: int, scale: int) -> tuple[int, ...]:
    """Of (batch, group, tap, row, column, row of a sub-pixel, column of a sub-pixel)."""
    batch, channel, row, column = weights.stride()
    if weights.shape[2] == height:  # before the pixel shuffle: a tap has s² channels
        taps = kernel**2 * scale**2
        return batch, taps * channel, scale**2 * channel, row, column, scale * channel, channel
    return batch, kernel**2 * channel, channel, scale * row, scale * column, row, column


def _shared_strides(shared: Tensor, kernel: int) -> tuple[int, ...]:
    """Of (batch, group, tap, row, column)."""
    batch, channel, row, column = shared.stride()
    return batch, kernel**2 * channel, channel, row, column


def _empty_weights(
    like: Tensor, channels: int, scale: int, height: int, width: int, shuffled: bool, dtype: torch.dtype
) -> Tensor:
    """(B, Zk²s², H, W), or after their pixel shuffle (B, Zk², sH, sW)."""
    if shuffled:
        return like.new_empty((like.shape[0], channels, scale * height, scale * width), dtype=dtype)
    return like.new_empty((like.shape[0], channels * scale**2, height, width), dtype=dtype)


def gated(weights: Tensor, gate: Tensor, scale: int, height: int) -> Tensor:
    """Weights times one minus their output pixel's gate (B, 1, sH, sW)."""
    if weights.shape[2] != height:
        return weights * (1 - gate)
    by_tap = weights.unflatten(1, (-1, scale**2))  # (B, Zk², s², H, W)
    # F.pixel_unshuffle leaves an empty batch as it is.
    by_sub = gate.reshape(len(gate), height, scale, weights.shape[3], scale).permute(0, 2, 4, 1, 3)
    gated: Tensor = by_tap * (1 - by_sub.flatten(1, 2)).unsqueeze(1)
    return gated.flatten(1, 2)


def plus_shared(weights: Tensor, shared: Tensor, scale: int, *, is_shuffled: bool) -> Tensor:
    """Weights plus those (B, Zk², H, W) that all output pixels of an input pixel share."""
    shared = shared.repeat_interleave(scale**2, dim=1)
    return weights + (F.pixel_shuffle(shared, scale) if is_shuffled else shared)


def _shuffled(weights: Tensor, x: Tensor, scale: int) -> Tensor:
    """Weights after their pixel shuffle."""
    return F.pixel_shuffle(weights, scale) if weights.shape[2] == x.shape[2] else weights


def _sum_flops(
    x: Any, weights: Any, guide: Any, gate: Any, kernel: int, groups: int, scale: int, *_: Any, **__: Any
) -> int:
    """Two a multiply-add, as torch counts: a sum over the window for each element of the output."""
    batch, channels, height, width = x
    return int(2 * kernel**2 * batch * channels * scale**2 * height * width)


def _empty_sum(
    x: Tensor, weights: Tensor, guide: Tensor | None, gate: Tensor | None,
    kernel: int, groups: int, scale: int, reflect: bool,
) -> Tensor:  # fmt: skip
    return empty_upsampled(x, scale)


def _keep_sum(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weights, guide, gate, *sizes = inputs
    ctx.save_for_backward(x, weights, guide, gate)
    ctx.sizes = sizes
    ctx.set_materialize_grads(False)


def _sum_backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 8
    x, weights, guide, gate = ctx.saved_tensors
    kernel, groups, scale, reflect = ctx.sizes
    grad = materialized(grad)
    grad_x = grad_weights = grad_guide = grad_gate = None
    if ctx.needs_input_grad[0]:
        inside = fold_taps(_shuffled(weights, x, scale), kernel, scale) if reflect else weights
        grad_x = window_spread(grad, inside, kernel, groups, scale).to(x.dtype)
    if ctx.needs_input_grad[1]:
        shuffled = weights.shape[2] != x.shape[2]
        grad_weights = window_dots(x, grad, kernel, groups, scale, reflect, False, shuffled, weights.dtype)
    if ctx.needs_input_grad[2]:
        grad_guide = (grad * gate).to(guide.dtype)
    if ctx.needs_input_grad[3]:
        grad_gate = (grad * guide).sum(1, keepdim=True, dtype=torch.float32).to(gate.dtype)
    return grad_x, grad_weights, grad_guide, grad_gate, None, None, None, None


@partial(Operation, fake=_empty_sum, setup_context=_keep_sum, backward=_sum_backward, flops=_sum_flops)
def window_sum(
    x: Tensor, weights: Tensor, guide: Tensor | None, gate: Tensor | None,
    kernel: int, groups: int, scale: int, reflect: bool,
) -> Tensor:  # fmt: skip
    """Reassembles x, and adds gate · guide.

    Args:
        x: (B, C, H, W).
        weights: of any dtype.
        guide, gate: (B, C, sH, sW) and (B, 1, sH, sW), or neither.
        kernel, groups, scale: k, Z and s.
        reflect: reads x reflected at its borders, not zeros.

    Returns:
        (B, C, sH, sW) in x's dtype and layout.
    """
    _, channels, height, width = x.shape
    out = empty_upsampled(x, scale)
    x, weights, guide = narrow(x), narrow(weights), None if guide is None else narrow(guide)
    # Up to two borders, so that pairs of pixels stay aligned. At larger scales each pixel is read by few.
    around = (kernel // 2 + 1) // 2 * 2
    fits = channels * (height + 2 * around) * (width + 2 * around) < MOST_ELEMENTS
    is_padded = reflect and scale == 1 and x.is_contiguous() and around < min(height, width) and fits
    if is_padded:
        x = F.pad(x, [around] * 4, mode="reflect")[..., around:-around, around:-around]
    reflect = reflect and not is_padded
    columns = 2 if not reflect and next_power_of_2(scale) == scale and _has_pairs(x, weights) else 1
    launch(
        kernels.window_sum_fwd_kernel,
        _tiles(x, groups, columns),
        x, weights, x if guide is None else guide, x if gate is None else gate.contiguous(), out,
        channels // groups, height, width, groups, *tuning_keys(x, groups),
        *x.stride(), *out.stride(), *_weight_strides(weights, height, kernel, scale),
        *(x if guide is None else guide).stride(),
        K=kernel, S=scale, SUBS=next_power_of_2(scale**2), C_LAST=_is_channels_last(x), REFLECT=reflect,
        PADDED=is_padded, HAS_GUIDE=guide is not None, COLUMNS=columns,
    )  # fmt: skip
    return out


def _spread_flops(y: Any, weights: Any, kernel: int, *_: Any, **__: Any) -> int:
    batch, channels, tall, wide = y
    return int(2 * kernel**2 * batch * channels * tall * wide)


def _empty_spread(y: Tensor, weights: Tensor, kernel: int, groups: int, scale: int) -> Tensor:
    batch, channels, height, width = y.shape
    return empty_feature(y, (batch, channels, height // scale, width // scale))


def _keep_spread(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    y, weights, *ctx.sizes = inputs
    ctx.save_for_backward(y, weights)
    ctx.set_materialize_grads(False)


def _spread_backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 5
    y, weights = ctx.saved_tensors
    kernel, groups, scale = ctx.sizes
    grad = materialized(grad)
    grad_y = grad_weights = None
    if ctx.needs_input_grad[0]:
        grad_y = window_sum(grad, weights, None, None, kernel, groups, scale, False)
    if ctx.needs_input_grad[1]:
        shuffled = weights.shape[2] != grad.shape[2]
        grad_weights = window_dots(grad, y, kernel, groups, scale, False, False, shuffled, weights.dtype)
    return grad_y, grad_weights, None, None, None


@partial(Operation, fake=_empty_spread, setup_context=_keep_spread, backward=_spread_backward, flops=_spread_flops)
def window_spread(y: Tensor, weights: Tensor, kernel: int, groups: int, scale: int) -> Tensor:
    """The transpose of the window sum, gathered: no two programs write to one element, so it is the same each time.

    Args:
        y: (B, C, sH, sW).
        weights: of any dtype.
        kernel, groups, scale: k, Z and s.

    Returns:
        (B, C, H, W) in y's dtype and layout.
    """
    out = _empty_spread(y, weights, kernel, groups, scale)
    y, weights = narrow(y), narrow(weights)
    _, channels, height, width = out.shape
    launch(
        kernels.window_spread_kernel,
        _tiles(out, groups),
        y, weights, out, channels // groups, height, width, groups, *tuning_keys(out, groups),
        *out.stride(), *y.stride(), *_weight_strides(weights, height, kernel, scale),
        K=kernel, S=scale, C_LAST=_is_channels_last(out),
        PAIRED=scale == 2 and y.stride(3) == 1 and not any(stride % 2 for stride in y.stride()[:3]),
    )  # fmt: skip
    return out


def _dots_flops(x: Any, y: Any, kernel: int, *_: Any, **__: Any) -> int:
    return _spread_flops(y, None, kernel)


def _empty_dots(
    x: Tensor, y: Tensor, kernel: int, groups: int, scale: int, reflect: bool, softmax: bool, shuffled: bool,
    dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    return _empty_weights(x, groups * kernel**2, scale, x.shape[2], x.shape[3], shuffled, dtype)


def _keep_dots(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, y, kernel, groups, scale, reflect, softmax, _, _ = inputs
    ctx.save_for_backward(x, y, *([output] if softmax else []))
    ctx.sizes = kernel, groups, scale, reflect
    ctx.set_materialize_grads(False)


def _dots_backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 9
    x, y, *softmax = ctx.saved_tensors
    kernel, groups, scale, reflect = ctx.sizes
    if softmax:
        height, width = x.shape[2:]
        shuffled = grad.shape[2] != height
        sizes = (kernel, groups, scale, height, width, shuffled, False, grad.dtype)
        grad, _ = _logit_gradients(softmax[0], grad, None, None, *sizes)
    grad = materialized(grad)
    grad_x = grad_y = None
    if ctx.needs_input_grad[0]:
        inside = fold_taps(_shuffled(grad, x, scale), kernel, scale) if reflect else grad
        grad_x = window_spread(y, inside, kernel, groups, scale)
    if ctx.needs_input_grad[1]:
        grad_y = window_sum(x, grad, None, None, kernel, groups, scale, reflect)
    return grad_x, grad_y, None, None, None, None, None, None, None


@partial(Operation, fake=_empty_dots, setup_context=_keep_dots, backward=_dots_backward, flops=_dots_flops)
def window_dots(
    x: Tensor, y: Tensor, kernel: int, groups: int, scale: int, reflect: bool, softmax: bool, shuffled: bool,
    dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    """Products of each y with the window of x around it, summed over the channels of a group.

    Args:
        x: (B, C, H, W).
        y: (B, C, sH, sW).
        kernel, groups, scale: k, Z and s.
        reflect: reads x reflected at its borders, not zeros.
        softmax: gives their softmax over the window.
        shuffled: whether the result is as after a pixel shuffle.
        dtype: of the result.
    """
    dots = _empty_dots(x, y, kernel, groups, scale, reflect, softmax, shuffled, dtype)
    x, y = narrow(x), narrow(y)
    batch, channels, height, width = x.shape
    sides = next_power_of_2(scale)
    arguments = (
        x, y, dots, channels // groups, height, width, groups, *tuning_keys(x, groups),
        *x.stride(), *y.stride(), *_weight_strides(dots, height, kernel, scale),
    )  # fmt: skip

    def grid(meta: Mapping[str, int]) -> Grid:
        return -(-height * width // meta["BLOCK_P"]), 1, batch * groups

    if not (softmax or reflect or _is_channels_last(x)) and kernel**2 * sides**2 <= MOST_SUMS:
        launch(kernels.window_dots_by_tap_kernel, grid, *arguments, K=kernel, S=scale, SIDES=sides)
        return dots
    launch(
        kernels.window_dots_kernel, grid, *arguments,
        K=kernel, S=scale, TAPS=next_power_of_2(kernel**2), SUBS=next_power_of_2(scale**2), C_LAST=_is_channels_last(x),
        REFLECT=reflect, SOFTMAX=softmax,
    )  # fmt: skip
    return dots


def _empty_softmax(
    logits: Tensor, shared: Tensor | None, gate: Tensor | None, kernel: int, groups: int, scale: int, height: int,
    width: int,
    sigmoid: bool, dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    return _empty_weights(logits, groups * kernel**2, scale, height, width, False, dtype)


def _keep_weights(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    logits, shared, _, *ctx.sizes, sigmoid, _ = inputs
    ctx.sigmoid, ctx.shuffled, ctx.has_shared = sigmoid, logits.shape[2] != output.shape[2], shared is not None
    ctx.dtype = logits.dtype
    ctx.save_for_backward(output, *((logits, shared) if sigmoid else ()))
    ctx.set_materialize_grads(False)


def _weights_backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 10
    weights, *inputs = ctx.saved_tensors
    logits, shared = inputs or (None, None)
    sizes = (*ctx.sizes, ctx.shuffled, ctx.has_shared, ctx.dtype)
    grad_logits, grad_shared = _logit_gradients(weights, grad, logits, shared, *sizes)
    return grad_logits, grad_shared if ctx.has_shared else None, *(None,) * 8


def _logit_gradients(
    weights: Tensor, grad: Tensor, logits: Tensor | None, shared: Tensor | None,
    kernel: int, groups: int, scale: int, height: int, width: int, shuffled: bool, has_shared: bool, dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`window_weights_bwd`, in operations that autograd goes through again where gradients of gradients are wanted."""
    sizes = (kernel, groups, scale, height, width, shuffled, has_shared, dtype)
    if not torch.is_grad_enabled():
        gradients: tuple[Tensor, Tensor] = window_weights_bwd(weights, grad, logits, shared, *sizes)
        return gradients
    by_tap = weights.unflatten(1, (groups, kernel**2, -1))  # (B, Z, k², s² or 1, ...)
    weighted = by_tap * grad.unflatten(1, (groups, kernel**2, -1))
    grad_logits = (weighted - by_tap * weighted.sum(2, keepdim=True)).flatten(1, 3)
    if logits is not None:
        value = F.pixel_unshuffle(logits, scale) if shuffled else logits
        if shared is not None:
            value = value + shared.repeat_interleave(scale**2, dim=1)
        value = value.sigmoid()
        grad_logits = grad_logits * (value * (1 - value))
    grad_shared = grad_logits.unflatten(1, (-1, scale**2)).sum(2) if has_shared else weights.new_empty(0)
    if shuffled and weights.shape[2] == height:
        grad_logits = F.pixel_shuffle(grad_logits, scale)
    return grad_logits.to(dtype), grad_shared.to(dtype)


@partial(Operation, fake=_empty_softmax, setup_context=_keep_weights, backward=_weights_backward)
def window_weights(
    logits: Tensor, shared: Tensor | None, gate: Tensor | None, kernel: int, groups: int, scale: int, height: int,
    width: int,
    sigmoid: bool, dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    """The softmax over each window of logits, or of their sigmoids.

    Args:
        logits: before or after their pixel shuffle.
        shared: (B, Zk², H, W), added to the logits of all s² output pixels; or None.
        gate: (B, 1, sH, sW): the weights are times one minus it; or None. It gets no gradient.
        kernel, groups, scale: k, Z and s.
        height, width: of x.
        sigmoid: takes the sigmoid first.
        dtype: of the weights.

    Returns:
        (B, Zk²s², H, W).
    """
    weights = _empty_weights(logits, groups * kernel**2, scale, height, width, False, dtype)
    logits, shared = narrow(logits), None if shared is None else narrow(shared)
    launch(
        kernels.window_weights_fwd_kernel,
        lambda meta: (-(-height * width // meta["BLOCK_P"]), scale**2, logits.shape[0] * groups),
        logits, logits if shared is None else shared, logits if gate is None else gate.contiguous(), weights,
        height, width, groups, *tuning_keys(weights, groups),
        *_weight_strides(logits, height, kernel, scale), *_shared_strides(logits if shared is None else shared, kernel),
        K=kernel, S=scale, TAPS=next_power_of_2(kernel**2), SIGMOID=sigmoid, HAS_SHARED=shared is not None,
        HAS_GATE=gate is not None,
    )  # fmt: skip
    return weights


def _empty_logits(
    weights: Tensor, grad: Tensor, logits: Tensor | None, shared: Tensor | None,
    kernel: int, groups: int, scale: int, height: int, width: int, shuffled: bool, has_shared: bool, dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    grad_logits = _empty_weights(weights, groups * kernel**2, scale, height, width, shuffled, dtype)
    shape = (weights.shape[0], groups * kernel**2, height, width) if has_shared else (0, 0, 0, 0)
    return grad_logits, weights.new_empty(shape, dtype=dtype)


@partial(Operation, fake=_empty_logits)
def window_weights_bwd(
    weights: Tensor, grad: Tensor, logits: Tensor | None, shared: Tensor | None,
    kernel: int, groups: int, scale: int, height: int, width: int, shuffled: bool, has_shared: bool, dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The gradients of logits and of shared ones, from that of their weights.

    Args:
        weights: before or after their pixel shuffle.
        grad: in the same shape.
        logits, shared: where the weights are of sigmoids; else None.
        kernel, groups, scale: k, Z and s.
        height, width: of x.
        shuffled: whether the logits are after their pixel shuffle.
        has_shared: whether there were shared logits.
        dtype: of the gradients.

    Returns:
        The logits' gradient, and (B, Zk², H, W), or nothing where none were shared.
    """
    grad_logits, grad_shared = _empty_logits(
        weights, grad, logits, shared, kernel, groups, scale, height, width, shuffled, has_shared, dtype
    )
    launch(
        kernels.window_weights_bwd_kernel,
        lambda meta: (-(-height * width // meta["BLOCK_P"]), 1, weights.shape[0] * groups),
        weights, grad.contiguous(), grad_logits if logits is None else logits.contiguous(),
        grad_shared if shared is None else shared.contiguous(), grad_logits, grad_shared,
        height, width, groups, *tuning_keys(weights, groups),
        *_weight_strides(grad_logits, height, kernel, scale), *_shared_strides(grad_shared, kernel),
        *_weight_strides(weights, height, kernel, scale),
        K=kernel, S=scale, TAPS=next_power_of_2(kernel**2), SIGMOID=logits is not None, HAS_SHARED=has_shared,
    )  # fmt: skip
    return grad_logits, grad_shared
