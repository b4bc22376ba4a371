"""Point sampling from projections as one operation, which autograd, torch.compile and the FLOP counter know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from upsamplers.fused import _point_kernels as kernels
from upsamplers.fused._bilinear_kernels import bilinear_backward
from upsamplers.fused._launch import empty_like, is_wide, kind, laid_out, launch, up_to_two

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
    return _sampled(x, projected, initial, factor, groups, scale)


@torch.library.custom_op("upsamplers::interpolate_bilinear", mutates_args=())
def interpolate_bilinear(x: Tensor, scale: int) -> Tensor:
    """x (B, C, H, W) -> (B, C, sH, sW), half-pixel centres (align_corners=False)."""
    return _sampled(x, None, None, 0.0, 1, scale)


def _sampled(
    x: Tensor, projected: Tensor | None, initial: Tensor | None, factor: float, groups: int, scale: int
) -> Tensor:
    batch, channels, height, width = x.shape
    out = empty_like(x, (batch, channels, scale * height, scale * width))
    points, start = (x, x) if projected is None or initial is None else (projected, initial)
    launch(
        kernels.sample_points,
        1, scale**2 * height * width, channels // groups, batch * groups,
        x, points, start, out,
        channels // groups, height, width, groups, factor, *kind(x, groups),
        *read_strides(x), *out.stride(), *points.stride(),
        S=scale, HAS_OFFSETS=projected is not None, HAS_SCOPES=projected is not None and _has_scopes(points, start),
        WIDE=is_wide(out, points),
    )  # fmt: skip
    return out


def read_strides(x: Tensor) -> tuple[int, ...]:
    """Of (batch, channel, row, column), zero along an axis of one pixel: what a point has beside it is that pixel."""
    batch, channel, row, column = x.stride()
    return batch, channel, row if x.shape[2] > 1 else 0, column if x.shape[3] > 1 else 0


def _has_scopes(projected: Tensor, initial: Tensor) -> bool:
    return projected.shape[1] == 2 * initial.numel()


@torch.library.custom_op("upsamplers::sample_displaced_offsets_backward", mutates_args=())
def sample_displaced_offsets_backward(
    grad: Tensor, x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int
) -> Tensor:
    """The gradient of the projections: each output pixel has its own."""
    batch, channels, height, width = x.shape
    grad_projected = torch.empty_like(projected)
    launch(
        kernels.sample_points_offsets_backward,
        1, scale**2 * height * width, None, batch * groups,
        x, projected, initial, grad, grad_projected,
        channels // groups, height, width, groups, factor, *kind(x, groups),
        *read_strides(x), *grad.stride(), *projected.stride(),
        S=scale, HAS_SCOPES=_has_scopes(projected, initial), WIDE=is_wide(grad, projected),
    )  # fmt: skip
    return grad_projected


@torch.library.custom_op("upsamplers::sample_displaced_features_backward", mutates_args=())
def sample_displaced_features_backward(
    grad: Tensor, x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int, exact: bool
) -> Tensor:
    """The gradient of x: how far points are displaced has no bound, so each adds to the pixels it read.

    Added in float32 the sums depend on the order, in the last digits. `exact` adds whole multiples of 2^-40 of the
    largest gradient, in 64 bits, which gives the same bits each time for three times the memory while it runs; a
    gradient that is not finite leaves nothing finite.
    """
    batch, channels, height, width = x.shape
    total = empty_like(x, x.shape, torch.int64 if exact else torch.float32).zero_()
    steps = x.new_ones((), dtype=torch.float32)
    if exact and grad.numel():  # read on the device, so that nothing waits for it
        steps = STEPS / torch.linalg.vector_norm(grad, float("inf"), dtype=torch.float32).clamp(min=SMALLEST)
    launch(
        kernels.sample_points_features_backward,
        1, scale**2 * height * width, channels // groups, batch * groups,
        projected, initial, grad, steps, total,
        channels // groups, height, width, groups, factor, *kind(x, groups),
        *read_strides(total), *grad.stride(), *projected.stride(),
        S=scale, HAS_SCOPES=_has_scopes(projected, initial), EXACT=exact, WIDE=is_wide(grad, projected),
    )  # fmt: skip
    return (total / steps).to(x.dtype) if exact else total.to(x.dtype)


@torch.library.custom_op("upsamplers::interpolate_bilinear_backward", mutates_args=())
def interpolate_bilinear_backward(grad: Tensor, scale: int) -> Tensor:
    """The gradient of x, gathered: the same bits each time."""
    batch, channels, tall, wide = grad.shape
    height, width = tall // scale, wide // scale
    grad_x = empty_like(grad, (batch, channels, height, width))
    launch(
        bilinear_backward,
        height, width, channels, batch,
        grad, grad_x, channels, height, width, *kind(grad_x), *grad_x.stride(), *grad.stride(),
        S=scale, SIDES=up_to_two(scale), WIDE=is_wide(grad),
    )  # fmt: skip
    return grad_x


@sample_displaced.register_fake
def _(x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int) -> Tensor:
    return empty_like(x, (*x.shape[:2], scale * x.shape[2], scale * x.shape[3]))


@interpolate_bilinear.register_fake
def _(x: Tensor, scale: int) -> Tensor:
    return empty_like(x, (*x.shape[:2], scale * x.shape[2], scale * x.shape[3]))


@sample_displaced_offsets_backward.register_fake
def _(grad: Tensor, x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int) -> Tensor:
    return torch.empty_like(projected)


@sample_displaced_features_backward.register_fake
def _(
    grad: Tensor, x: Tensor, projected: Tensor, initial: Tensor, factor: float, groups: int, scale: int, exact: bool
) -> Tensor:
    return empty_like(x, x.shape)


@interpolate_bilinear_backward.register_fake
def _(grad: Tensor, scale: int) -> Tensor:
    return empty_like(grad, (*grad.shape[:2], grad.shape[2] // scale, grad.shape[3] // scale))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, projected, initial, *ctx.sizes = inputs
    ctx.save_for_backward(x, projected, initial)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    kept = ctx.saved_tensors
    grad, grad_x, grad_projected = laid_out(grad), None, None
    if ctx.needs_input_grad[0]:
        exact = torch.are_deterministic_algorithms_enabled()
        grad_x = sample_displaced_features_backward(grad, *kept, *ctx.sizes, exact)
    if ctx.needs_input_grad[1]:
        grad_projected = sample_displaced_offsets_backward(grad, *kept, *ctx.sizes)
    return grad_x, grad_projected, None, None, None, None


sample_displaced.register_autograd(_backward, setup_context=_keep)


def _keep_scale(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.scale = inputs[1]


def _bilinear_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    return interpolate_bilinear_backward(laid_out(grad), ctx.scale), None


interpolate_bilinear.register_autograd(_bilinear_backward, setup_context=_keep_scale)


@register_flop_formula(torch.ops.upsamplers.sample_displaced)
def _multiplications(
    x: Any, projected: Any, initial: Any, factor: Any, groups: int, scale: int, *_: Any, **__: Any
) -> int:
    """Two a multiply-add, as torch counts: four for each element of the output."""
    return _four_each(x, scale)


@register_flop_formula(torch.ops.upsamplers.interpolate_bilinear)
def _bilinear_multiplications(x: Any, scale: int, *_: Any, **__: Any) -> int:
    return _four_each(x, scale)


def _four_each(x: Any, scale: int) -> int:
    batch, channels, height, width = x
    return int(8 * batch * channels * scale**2 * height * width)
