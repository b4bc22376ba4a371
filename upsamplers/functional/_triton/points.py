"""Point sampling and bilinear interpolation by Triton kernels, with their gradients."""

from __future__ import annotations

from math import gcd
from typing import Any

import torch
from torch import Tensor

from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._triton import point_kernels as kernels
from upsamplers.functional._triton.launch import (
    dense,
    empty_upsampled,
    launch,
    materialized,
    narrow,
    rectangle_grid,
    tuning_keys,
)
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional.backend import next_power_of_2

# Of the largest gradient: sums of up to 2^22 of them keep within 64 bits, each to 2^-40 of the largest.
STEPS = 2.0**40
# So that the steps stay finite where there is no gradient at all.
SMALLEST = 1e-24


def sample(
    x: Tensor, offsets: Tensor, scopes: Tensor | None, initial: Tensor | None, factor: float, groups: int, scale: int
) -> Tensor:
    """`sample_displaced` for tensors of any strides, with gradients."""
    offsets = narrow(offsets)
    if scopes is not None and scopes.stride() != offsets.stride():
        offsets, scopes = offsets.contiguous(), scopes.contiguous()
    initial = None if initial is None else initial.contiguous()
    out: Tensor = displaced(dense(x), offsets, scopes, initial, factor, groups, scale)
    return out


def sample_displaced(
    x: Tensor, offsets: Tensor, scopes: Tensor | None, initial: Tensor | None, factor: float, groups: int, scale: int
) -> Tensor:
    """Reads x bilinearly at displaced points, its border repeated.

    Args:
        x: (B, C, H, W), contiguous or channels_last.
        offsets: (B, 2Zs², H, W), channels ordered coordinate (x, y) · group · position s·a + b.
        scopes: before their sigmoid, with the shape and the strides of the offsets; or None.
        initial: 2Zs² displacements to begin from, or None.
        factor: of offsets (times scopes).
        groups, scale: Z and s.

    Returns:
        (B, C, sH, sW) in x's dtype and layout.
    """
    return _sample(x, offsets, scopes, initial, factor, groups, scale)


def interpolate_bilinear(x: Tensor, scale: int) -> Tensor:
    """Half-pixel centres: x (B, C, H, W), contiguous or channels_last, -> (B, C, sH, sW)."""
    return _sample(x, None, None, None, 0.0, 1, scale)


def _sample(
    x: Tensor,
    offsets: Tensor | None,
    scopes: Tensor | None,
    initial: Tensor | None,
    factor: float,
    groups: int,
    scale: int,
) -> Tensor:
    batch, channels, height, width = x.shape
    out = empty_upsampled(x, scale)
    launch(
        kernels.sample_points_fwd_kernel,
        rectangle_grid((scale * height, scale * width), channels // groups, batch * groups),
        x, *_pointers(x, offsets, scopes, initial), out,
        channels // groups, height, width, groups, factor, *tuning_keys(x, groups),
        *_read_strides(x), *out.stride(), *(x if offsets is None else offsets).stride(),
        S=scale, HAS_OFFSETS=offsets is not None, HAS_SCOPES=scopes is not None, HAS_INITIAL=initial is not None,
        ALIGN=_alignment(out),
    )  # fmt: skip
    return out


def _pointers(
    x: Tensor, offsets: Tensor | None, scopes: Tensor | None, initial: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Of offsets, scopes and initial displacements, any pointer where there are none."""
    return (
        x if offsets is None else offsets,
        x if scopes is None else scopes,
        x if initial is None else initial,
    )


def _read_strides(x: Tensor) -> tuple[int, ...]:
    """Of (batch, channel, row, column), zero along an axis of one pixel: the neighbour of a point is that pixel."""
    batch, channel, row, column = x.stride()
    return batch, channel, row if x.shape[2] > 1 else 0, column if x.shape[3] > 1 else 0


def _alignment(out: Tensor) -> int:
    """How many pixels of a row can be written at once: what divides all strides and the width, up to 16."""
    batch, channel, row, column = out.stride()
    return gcd(16, batch, channel, row, out.shape[3]) if column == 1 else 1


def _empty_displacements(
    grad: Tensor, x: Tensor, offsets: Tensor, scopes: Tensor | None, *_: Any
) -> tuple[Tensor, Tensor]:  # fmt: skip
    return torch.empty_like(offsets), offsets.new_empty(0) if scopes is None else torch.empty_like(scopes)


def sample_displaced_bwd_doffsets(
    grad: Tensor, x: Tensor, offsets: Tensor, scopes: Tensor | None, initial: Tensor | None,
    factor: float, groups: int, scale: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The gradients of offsets and scopes, of which each output pixel has its own; the second is empty without."""
    batch, channels, height, width = x.shape
    grad_offsets, grad_scopes = _empty_displacements(grad, x, offsets, scopes)
    launch(
        kernels.sample_points_bwd_doffsets_kernel,
        rectangle_grid((scale * height, scale * width), None, batch * groups),
        x, *_pointers(x, offsets, scopes, initial), grad, grad_offsets, grad_scopes,
        channels // groups, height, width, groups, factor, *tuning_keys(x, groups),
        *_read_strides(x), *grad.stride(), *offsets.stride(), *grad_offsets.stride(),
        S=scale, HAS_SCOPES=scopes is not None, HAS_INITIAL=initial is not None, ALIGN=_alignment(grad),
    )  # fmt: skip
    return grad_offsets, grad_scopes


def sample_displaced_bwd_dx(
    grad: Tensor, x: Tensor, offsets: Tensor, scopes: Tensor | None, initial: Tensor | None,
    factor: float, groups: int, scale: int, exact: bool,
) -> Tensor:  # fmt: skip
    """The gradient of x: how far points are displaced has no bound, so what reads far away adds to the pixels it read.

    Added in float32 these sums depend on the order, in the last digits. `exact` adds whole multiples of 2^-40 of the
    largest gradient, in 64 bits, which gives the same bits each time for three times the memory while it runs; a
    gradient that is not finite leaves nothing finite.
    """
    batch, channels, height, width = x.shape
    grad_x = empty_feature(x, x.shape, torch.int64 if exact else torch.float32)
    steps = x.new_ones((), dtype=torch.float32) if exact else grad  # which is not read then
    if exact and grad.numel():  # stays on the device, so that nothing waits for it
        steps = STEPS / torch.linalg.vector_norm(grad, float("inf"), dtype=torch.float32).clamp(min=SMALLEST)
    pointers = *_pointers(x, offsets, scopes, initial), grad, steps, grad_x
    sizes = channels // groups, height, width, groups, factor, *tuning_keys(x, groups)
    strides = *grad.stride(), *offsets.stride()
    options = {"HAS_SCOPES": scopes is not None, "HAS_INITIAL": initial is not None, "EXACT": exact}
    launch(
        kernels.sample_points_bwd_dx_kernel,
        rectangle_grid((height, width), channels // groups, batch * groups),
        *pointers, *sizes, *grad_x.stride(), *strides,
        S=scale, SUBS=next_power_of_2(scale), HAS_OFFSETS=True, ALIGN=_alignment(grad), **options,
    )  # fmt: skip
    launch(
        kernels.sample_points_bwd_dx_far_kernel,
        rectangle_grid((scale * height, scale * width), channels // groups, batch * groups),
        *pointers, *sizes, *_read_strides(grad_x), *strides, S=scale, **options,
    )  # fmt: skip
    return (grad_x / steps).to(x.dtype) if exact else grad_x.to(x.dtype)


def interpolate_bilinear_bwd_dx(grad: Tensor, scale: int) -> Tensor:
    """The gradient of x, gathered: the same bits each time."""
    batch, channels, height, width = grad.shape[0], grad.shape[1], grad.shape[2] // scale, grad.shape[3] // scale
    grad_x = empty_feature(grad, (batch, channels, height, width))
    launch(
        kernels.sample_points_bwd_dx_kernel,
        rectangle_grid((height, width), channels, batch),
        grad, grad, grad, grad, grad, grad_x, channels, height, width, 1, 0.0, *tuning_keys(grad_x),
        *grad_x.stride(), *grad.stride(), *grad.stride(),
        S=scale, SUBS=next_power_of_2(scale), HAS_OFFSETS=False, ALIGN=_alignment(grad),
        HAS_SCOPES=False, HAS_INITIAL=False, EXACT=False,
    )  # fmt: skip
    return grad_x


def _displaced_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, offsets, scopes, initial, *ctx.sizes = inputs
    ctx.save_for_backward(x, offsets, scopes, initial)
    ctx.set_materialize_grads(False)


def _displaced_backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    grad_x, grad_offsets, grad_scopes = None, None, None
    if grad is not None:
        grad = materialized(grad)
        if ctx.needs_input_grad[0]:
            exact = torch.are_deterministic_algorithms_enabled()
            grad_x = displaced_bwd_dx(grad, *ctx.saved_tensors, *ctx.sizes, exact)
        if any(ctx.needs_input_grad[1:3]):
            grad_offsets, grad_scopes = displaced_bwd_doffsets(grad, *ctx.saved_tensors, *ctx.sizes)
    return grad_x, grad_offsets, grad_scopes if ctx.needs_input_grad[2] else None, None, None, None, None


def _bilinear_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.scale = inputs[1]
    ctx.set_materialize_grads(False)


def _bilinear_backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, None]:
    return None if grad is None else bilinear_bwd_dx(materialized(grad), ctx.scale), None


def _flops(x: Any, *others: Any, **_: Any) -> int:
    """Two for each multiply-add, as torch counts: four multiply-adds for each element of the output."""
    batch, channels, height, width = x
    return int(8 * batch * channels * height * width * others[-1] ** 2)


displaced_bwd_doffsets = Operation(
    sample_displaced_bwd_doffsets,
    _empty_displacements,
)
displaced_bwd_dx = Operation(sample_displaced_bwd_dx, lambda grad, x, *_: empty_feature(x, x.shape))
bilinear_bwd_dx = Operation(
    interpolate_bilinear_bwd_dx,
    lambda grad, scale: empty_feature(grad, (*grad.shape[:2], grad.shape[2] // scale, grad.shape[3] // scale)),
)
displaced = Operation(
    sample_displaced,
    lambda x, *others: empty_upsampled(x, others[-1]),
    setup_context=_displaced_context,
    backward=_displaced_backward,
    flops=_flops,
)
bilinear = Operation(
    interpolate_bilinear,
    empty_upsampled,
    setup_context=_bilinear_context,
    backward=_bilinear_backward,
    flops=_flops,
)
