"""Group norms by several programs a group."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.differentiable import gradients_again
from upsamplers.functional._triton import group_norm_kernels as kernels
from upsamplers.functional._triton.launch import launch, pixel_strides, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional.backend import next_power_of_2

# Pixels whose mean one program takes: of a channel where rows are contiguous, else of some channels.
ROW_TILE, CHANNEL_TILE = 2048, 128


def _fake_scale_and_shift(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor]:
    shape = x.shape[:2]
    return x.new_empty(shape, dtype=torch.float32), x.new_empty(shape, dtype=torch.float32)


@partial(Operation, fake=_fake_scale_and_shift)
def group_norm_scale_and_shift(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
) -> tuple[Tensor, Tensor]:
    """Float32 (B, C) each for x (B, C, H, W), contiguous or channels_last: its group norm is x · scale + shift."""
    scale, shift, *_ = _statistics(x, weight, bias, groups, eps)
    return scale, shift


def _statistics(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scale and shift of a group norm (B, C), means and reciprocal deviations of its groups (B, groups)."""
    batch, channels, height, width = x.shape
    in_rows, pixels = x.stride(1) != 1 or channels == 1, height * width
    tile = ROW_TILE if in_rows else CHANNEL_TILE
    tiles = -(-pixels // tile)
    means = x.new_empty((batch, tiles, channels), dtype=torch.float32)
    squares = torch.empty_like(means)
    launch(
        kernels.tile_moments_kernel, lambda blocks: (tiles, -(-channels // blocks["BLOCK_C"]), batch),
        x, means, squares, channels, pixels, *tuning_keys(x), *pixel_strides(x), TILE=tile, IN_ROWS=in_rows,
    )  # fmt: skip
    scale, shift = _fake_scale_and_shift(x, weight, bias, groups, eps)
    mean, reciprocal = (x.new_empty((batch, groups), dtype=torch.float32) for _ in range(2))
    launch(
        kernels.scale_and_shift_kernel, lambda _: (groups, 1, batch),
        means, squares, weight, bias, scale, shift, mean, reciprocal, eps, tiles, pixels, channels // groups, channels,
        next_power_of_2(tiles), TILE=tile,
    )  # fmt: skip
    return scale, shift, mean, reciprocal


def _fake_norm(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    shape = x.shape[0], groups
    return torch.empty_like(x), x.new_empty(shape, dtype=torch.float32), x.new_empty(shape, dtype=torch.float32)


def _keep_norm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, weight, bias, ctx.groups, ctx.eps = inputs
    _, mean, reciprocal = output
    ctx.save_for_backward(x, weight, bias, mean, reciprocal)
    ctx.mark_non_differentiable(mean, reciprocal)
    ctx.set_materialize_grads(False)


def _norm_backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 5
    x, weight, bias, mean, reciprocal = ctx.saved_tensors
    needs = ctx.needs_input_grad[:3]
    if torch.is_grad_enabled():
        gradients = gradients_again(
            lambda x, weight, bias: F.group_norm(x, ctx.groups, weight, bias, ctx.eps), (x, weight, bias), grad, needs
        )
        return *gradients, None, None
    batch, channels, height, width = x.shape
    mean, reciprocal = mean.to(x.dtype), reciprocal.to(x.dtype)
    sizes = batch, channels, height * width, ctx.groups
    grad, x = grad.contiguous(), x.contiguous()
    gradients = torch.ops.aten.native_group_norm_backward(grad, x, mean, reciprocal, weight, *sizes, needs)
    return *gradients, None, None


@partial(Operation, fake=_fake_norm, setup_context=_keep_norm, backward=_norm_backward)
def group_norm(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The group norm of x (B, C, H, W), contiguous or channels_last; and what its gradients read.

    Returns:
        (B, C, H, W) in x's dtype; means and reciprocal deviations (B, groups) in float32.
    """
    scale, shift, mean, reciprocal = _statistics(x, weight, bias, groups, eps)
    return _scaled(x, scale, shift), mean, reciprocal


@partial(Operation, fake=lambda x, scale, shift: torch.empty_like(x))
def scale_channels(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """X (B, C, H, W), contiguous or channels_last, times a scale plus a shift, float32 (B, C) each; in its dtype."""
    return _scaled(x, scale, shift)


def _scaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    out = torch.empty_like(x)
    batch, channels, height, width = x.shape
    launch(
        kernels.scale_channels_kernel,
        lambda blocks: (-(-height * width // blocks["BLOCK_P"]), -(-channels // blocks["BLOCK_C"]), batch),
        x, scale, shift, out, channels, height * width, *tuning_keys(x), *pixel_strides(x),
        IN_ROWS=x.stride(1) != 1 or channels == 1,
    )  # fmt: skip
    return out


def _fake_product(
    u: Tensor, v: Tensor, scale_u: Tensor, shift_u: Tensor, scale_v: Tensor, shift_v: Tensor,
    slope: float,
) -> Tensor:  # fmt: skip
    return u.new_empty((u.shape[0], 1, u.shape[2], u.shape[3]))


@partial(Operation, fake=_fake_product)
def normalised_product(
    u: Tensor, v: Tensor, scale_u: Tensor, shift_u: Tensor, scale_v: Tensor, shift_v: Tensor,
    slope: float,
) -> Tensor:  # fmt: skip
    """Σ_c φ(u · scale_u + shift_u) · φ(v · scale_v + shift_v), (B, 1, H, W), with φ the leaky ReLU.

    u and v (B, C, H, W) have the same strides, contiguous or channels_last; scales and shifts are float32 (B, C).
    """
    out = u.new_empty((u.shape[0], 1, u.shape[2], u.shape[3]))
    batch, channels, height, width = u.shape
    launch(
        kernels.normalised_product_kernel, lambda blocks: (-(-height * width // blocks["BLOCK_P"]), 1, batch),
        u, v, scale_u, shift_u, scale_v, shift_v, out, slope, channels, height * width,
        *tuning_keys(u), *pixel_strides(u),
    )  # fmt: skip
    return out
