"""Point sampling as operations that autograd, torch.compile and the FLOP counter know.

`sample_displaced` starts from DySample's projections, `project_and_sample` projects too (for inference), and
`interpolate_bilinear` has no displacements at all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from upsamplers.functional._triton import point_kernels as kernels
from upsamplers.functional._triton.launch import (
    empty_feature,
    empty_upsampled,
    is_wide,
    launch,
    materialized,
    next_power_of_2,
    tile_grid,
    tuning_keys,
)
from upsamplers.functional._triton.projecting_kernels import project_and_sample_fwd_kernel

# Of the largest gradient: sums of up to 2^22 of them keep within 64 bits, each to 2^-40 of the largest.
STEPS = 2.0**40
# So that the steps stay finite where there is no gradient at all.
SMALLEST = 1e-24


@torch.library.custom_op("upsamplers::sample_displaced", mutates_args=())
def sample_displaced(x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int) -> Tensor:
    """Reads x bilinearly at displaced points, its border repeated.

    Args:
        x: (B, C, H, W).
        projected: offsets (B, 2Zs², H, W), channels ordered coordinate (x, y) · group · position s·a + b; or twice the
            channels, the second half the scopes before their sigmoid. Contiguous or channels_last.
        initial: 2Zs² displacements to begin from.
        factor: of offsets (times scopes).
        groups, scale: Z and s.

    Returns:
        (B, C, sH, sW) in x's dtype.
    """
    return _sample(x, projected, initial, factor, groups, scale)


@torch.library.custom_op("upsamplers::interpolate_bilinear", mutates_args=())
def interpolate_bilinear(x: Tensor, scale: int) -> Tensor:
    """x (B, C, H, W) -> (B, C, sH, sW), half-pixel centres (align_corners=False)."""
    return _sample(x, None, x, 0.0, 1, scale)


@torch.library.custom_op("upsamplers::project_and_sample", mutates_args=())
def project_and_sample(
    x: Tensor, weight: Tensor, bias: Tensor, scope_weight: Tensor | None, scope_bias: Tensor | None, initial: Tensor,
    factor: float, groups: int, scale: int,
) -> Tensor:  # fmt: skip
    """Reads x bilinearly at points that a 1x1 projection of the pixel-shuffled x displaces, its border repeated.

    Args:
        x: (B, C, H, W).
        weight: of the offsets, (2Z, C/s², 1, 1).
        bias: of the offsets.
        scope_weight, scope_bias: of the scopes before their sigmoid, as those of the offsets; or None.
        initial: 2Zs² displacements to begin from.
        factor: of offsets (times scopes).
        groups, scale: Z and s.

    Returns:
        (B, C, sH, sW) in x's dtype.
    """
    batch, channels, height, width = x.shape
    out = empty_upsampled(x, scale)
    strides = _read_strides(x)
    scope_weight_or_any = weight if scope_weight is None else scope_weight
    scope_bias_or_any = bias if scope_bias is None else scope_bias
    launch(
        project_and_sample_fwd_kernel,
        tile_grid(1, height * width, None, batch * groups),
        x, weight.contiguous(), bias.contiguous(), scope_weight_or_any.contiguous(), scope_bias_or_any.contiguous(),
        initial, out, channels // groups, weight.shape[1], height, width, groups, factor, *tuning_keys(x, groups),
        *strides, strides[3] or x.stride(2), *out.stride(),
        S=scale, SUBS=next_power_of_2(scale**2), HAS_SCOPES=scope_weight is not None,
        HAS_SCOPE_BIAS=scope_bias is not None, WIDE=is_wide(out),
    )  # fmt: skip
    return out


def _sample(x: Tensor, projected: Tensor | None, initial: Tensor, factor: float, groups: int, scale: int) -> Tensor:
    batch, channels, height, width = x.shape
    out = empty_upsampled(x, scale)
    points = x if projected is None else projected
    launch(
        kernels.sample_points_fwd_kernel,
        tile_grid(1, scale**2 * height * width, channels // groups, batch * groups),
        x, points, initial, out,
        channels // groups, height, width, groups, factor, *tuning_keys(x, groups),
        *_read_strides(x), *out.stride(), *points.stride(),
        S=scale, HAS_OFFSETS=projected is not None, HAS_SCOPES=projected is not None and _has_scopes(points, initial),
        WIDE=is_wide(out, points),
    )  # fmt: skip
    return out


def _read_strides(x: Tensor) -> tuple[int, ...]:
    """Of (batch, channel, row, column), zero along an axis of one pixel: the neighbour of a point is that pixel."""
    batch, channel, row, column = x.stride()
    return batch, channel, row if x.shape[2] > 1 else 0, column if x.shape[3] > 1 else 0


def _has_scopes(projected: Tensor, initial: Tensor) -> bool:
    return projected.shape[1] == 2 * initial.numel()


@torch.library.custom_op("upsamplers::sample_displaced_bwd_dprojected", mutates_args=())
def sample_displaced_bwd_dprojected(
    grad: Tensor, x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int
) -> Tensor:
    """The gradient of the projections: each output pixel has its own."""
    batch, channels, height, width = x.shape
    grad_projected = torch.empty_like(projected)
    launch(
        kernels.sample_points_bwd_dprojected_kernel,
        tile_grid(1, scale**2 * height * width, None, batch * groups),
        x, projected, initial, grad, grad_projected,
        channels // groups, height, width, groups, factor, *tuning_keys(x, groups),
        *_read_strides(x), *grad.stride(), *projected.stride(),
        S=scale, HAS_SCOPES=_has_scopes(projected, initial), WIDE=is_wide(grad, projected),
    )  # fmt: skip
    return grad_projected


@torch.library.custom_op("upsamplers::sample_displaced_bwd_dx", mutates_args=())
def sample_displaced_bwd_dx(
    grad: Tensor, x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int, exact: bool
) -> Tensor:
    """The gradient of x: how far points are displaced has no bound, so each adds to the pixels it read.

    Added in float32 the sums depend on the order, in the last digits. `exact` adds whole multiples of 2^-40 of the
    largest gradient, in 64 bits, which gives the same bits each time for three times the memory while it runs; a
    gradient that is not finite leaves nothing finite.
    """
    batch, channels, height, width = x.shape
    total = empty_feature(x, x.shape, torch.int64 if exact else torch.float32).zero_()
    steps = x.new_ones((), dtype=torch.float32)
    if exact and grad.numel():  # stays on the device, so that nothing waits for it
        steps = STEPS / torch.linalg.vector_norm(grad, float("inf"), dtype=torch.float32).clamp(min=SMALLEST)
    launch(
        kernels.sample_points_bwd_dx_kernel,
        tile_grid(1, scale**2 * height * width, channels // groups, batch * groups),
        projected, initial, grad, steps, total,
        channels // groups, height, width, groups, factor, *tuning_keys(x, groups),
        *_read_strides(total), *grad.stride(), *projected.stride(),
        S=scale, HAS_SCOPES=_has_scopes(projected, initial), EXACT=exact, WIDE=is_wide(grad, projected),
    )  # fmt: skip
    return (total / steps).to(x.dtype) if exact else total.to(x.dtype)


@torch.library.custom_op("upsamplers::interpolate_bilinear_bwd_dx", mutates_args=())
def interpolate_bilinear_bwd_dx(grad: Tensor, scale: int) -> Tensor:
    """The gradient of x, gathered: the same bits each time."""
    batch, channels, height, width = grad.shape[0], grad.shape[1], grad.shape[2] // scale, grad.shape[3] // scale
    grad_x = empty_feature(grad, (batch, channels, height, width))
    launch(
        kernels.bilinear_bwd_dx_kernel,
        tile_grid(height, width, channels, batch),
        grad, grad_x, channels, height, width, *tuning_keys(grad_x), *grad_x.stride(), *grad.stride(),
        S=scale, SIDES=next_power_of_2(scale), WIDE=is_wide(grad),
    )  # fmt: skip
    return grad_x


@interpolate_bilinear_bwd_dx.register_fake
def _(grad: Tensor, scale: int) -> Tensor:
    return empty_feature(grad, (*grad.shape[:2], grad.shape[2] // scale, grad.shape[3] // scale))


@sample_displaced.register_fake
def _(x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int) -> Tensor:
    return empty_upsampled(x, scale)


@interpolate_bilinear.register_fake
def _(x: Tensor, scale: int) -> Tensor:
    return empty_upsampled(x, scale)


@project_and_sample.register_fake
def _(
    x: Tensor, weight: Tensor, bias: Tensor, scope_weight: Tensor | None, scope_bias: Tensor | None, initial: Tensor,
    factor: float, groups: int, scale: int,
) -> Tensor:  # fmt: skip
    return empty_upsampled(x, scale)


@sample_displaced_bwd_dprojected.register_fake
def _(grad: Tensor, x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int) -> Tensor:
    return torch.empty_like(projected)


@sample_displaced_bwd_dx.register_fake
def _(
    grad: Tensor, x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int, exact: bool
) -> Tensor:
    return empty_feature(x, x.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, projected, initial, *ctx.sizes = inputs
    ctx.save_for_backward(x, projected, initial)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grad, grad_x, grad_projected = materialized(grad), None, None
    if ctx.needs_input_grad[0]:
        exact = torch.are_deterministic_algorithms_enabled()
        grad_x = sample_displaced_bwd_dx(grad, *ctx.saved_tensors, *ctx.sizes, exact)
    if ctx.needs_input_grad[1]:
        grad_projected = sample_displaced_bwd_dprojected(grad, *ctx.saved_tensors, *ctx.sizes)
    return grad_x, grad_projected, None, None, None, None


sample_displaced.register_autograd(_backward, setup_context=_setup_context)


def _setup_bilinear_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.scale = inputs[1]


def _bilinear_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    return interpolate_bilinear_bwd_dx(materialized(grad), ctx.scale), None


interpolate_bilinear.register_autograd(_bilinear_backward, setup_context=_setup_bilinear_context)


@register_flop_formula(torch.ops.upsamplers.sample_displaced)
def _displaced_flops(
    x: Any, projected: Any, initial: Any, factor: Any, groups: int, scale: int, *_: Any, **__: Any
) -> int:
    return _sampling_flops(x, scale)


@register_flop_formula(torch.ops.upsamplers.interpolate_bilinear)
def _bilinear_flops(x: Any, scale: int, *_: Any, **__: Any) -> int:
    return _sampling_flops(x, scale)


@register_flop_formula(torch.ops.upsamplers.project_and_sample)
def _projecting_flops(
    x: Any, weight: Any, bias: Any, scope_weight: Any, scope_bias: Any, initial: Any,
    factor: float, groups: int, scale: int, *_: Any, **__: Any,
) -> int:  # fmt: skip
    batch, _, height, width = x
    products = weight[0] * weight[1] * (1 if scope_weight is None else 2)
    return _sampling_flops(x, scale) + int(2 * batch * products * scale**2 * height * width)


def _sampling_flops(x: Any, scale: int) -> int:
    """Two a multiply-add, as torch counts: four multiply-adds for each element of the output."""
    batch, channels, height, width = x
    return int(8 * batch * channels * scale**2 * height * width)
