"""Bicubic interpolation as an operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from upsamplers.errors import Unsupported
from upsamplers.functional._triton.bicubic_kernels import bicubic_fwd_kernel
from upsamplers.functional._triton.launch import (
    dense,
    empty_upsampled,
    launch,
    materialized,
    rectangle_grid,
    tuning_keys,
)
from upsamplers.functional._triton.operation import Operation


def bicubic_fwd(x: Tensor, scale: int) -> Tensor:
    """x (B, C, H, W) -> (B, C, sH, sW)."""
    x = dense(x)
    batch, channels, height, width = x.shape
    out = empty_upsampled(x, scale)
    launch(
        bicubic_fwd_kernel,
        rectangle_grid(out.shape[2:], channels, batch),
        x,
        out,
        channels,
        height,
        width,
        *tuning_keys(x),
        *x.stride(),
        *out.stride(),
        S=scale,
    )
    return out


def _fake(x: Tensor, scale: int) -> Tensor:
    return empty_upsampled(x, scale)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.shape, ctx.scale = tuple(inputs[0].shape), inputs[1]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    if torch.is_grad_enabled():
        raise Unsupported("backend 'triton' has no second derivatives; backend 'torch' has")
    size, scale = list(grad.shape[2:]), float(ctx.scale)
    backward = torch.ops.aten.upsample_bicubic2d_backward.default
    return backward(materialized(grad), size, list(ctx.shape), False, scale, scale), None


def _flops(x: Any, scale: int, *_: Any, **__: Any) -> int:
    batch, channels, height, width = x
    return int(2 * 16 * batch * channels * scale**2 * height * width)


interpolate_bicubic = Operation(bicubic_fwd, _fake, setup_context=_setup_context, backward=_backward, flops=_flops)
