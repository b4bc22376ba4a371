"""All of DySample-S as one operation, for inference; torch.compile and the FLOP counter know it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from upsamplers.fused import _point_ops
from upsamplers.fused import _projecting_kernels as kernels
from upsamplers.fused._launch import empty_like, is_wide, kind, launch, up_to_two


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
    out = empty_like(x, (batch, channels, scale * height, scale * width))
    strides = _point_ops.read_strides(x)
    given = (weight, bias, weight if scope_weight is None else scope_weight, bias if scope_bias is None else scope_bias)
    launch(
        kernels.project_and_sample,
        1, height * width, None, batch * groups,
        x, *(one.contiguous() for one in given), initial, out,
        channels // groups, weight.shape[1], height, width, groups, factor, *kind(x, groups),
        *strides, strides[3] or x.stride(2), *out.stride(),
        S=scale, SUBS=up_to_two(scale**2), HAS_SCOPES=scope_weight is not None, HAS_SCOPE_BIAS=scope_bias is not None,
        WIDE=is_wide(out),
    )  # fmt: skip
    return out


@project_and_sample.register_fake
def _(
    x: Tensor, weight: Tensor, bias: Tensor, scope_weight: Tensor | None, scope_bias: Tensor | None, initial: Tensor,
    factor: float, groups: int, scale: int,
) -> Tensor:  # fmt: skip
    return empty_like(x, (*x.shape[:2], scale * x.shape[2], scale * x.shape[3]))


@register_flop_formula(torch.ops.upsamplers.project_and_sample)
def _multiplications(
    x: Any, weight: Any, bias: Any, scope_weight: Any, scope_bias: Any, initial: Any,
    factor: float, groups: int, scale: int, *_: Any, **__: Any,
) -> int:  # fmt: skip
    """Two a multiply-add, as torch counts: the projections, and four for each element of the output."""
    batch, channels, height, width = x
    products = weight[0] * weight[1] * scale**2 * (1 if scope_weight is None else 2)
    return int(2 * batch * height * width * (products + 4 * channels * scale**2))
