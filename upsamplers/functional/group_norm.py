"""Group norm, with the statistics of a group taken by many programs of a GPU instead of one."""

from __future__ import annotations

from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.checks import is_autocast
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import uses_triton


def group_norm(x: Tensor, norm: nn.GroupNorm, *, backend: str = "auto") -> Tensor:
    """norm(x), on CUDA without the wait for one block a group, which is how torch takes the statistics.

    The layer itself is called on the CPU, under autocast, and where it has hooks or is parametrised.

    Args:
        x: (B, C, H, W).
        norm: the layer.
        backend: as in `upsamplers.create`.

    Returns:
        (B, C, H, W) in x's dtype.

    Raises:
        Unsupported: the backend cannot take x.
    """
    with stage("norm"):
        if not _is_plain_norm(norm, x):
            return norm(x)  # type: ignore[no-any-return]
        is_fused = uses_triton(backend, x, norm.weight, norm.bias)
        if torch.is_grad_enabled():
            if not is_fused or not x.dtype == norm.weight.dtype == norm.bias.dtype:
                return norm(x)  # type: ignore[no-any-return]
            from upsamplers.functional._triton import group_norm as fused
            from upsamplers.functional._triton.launch import dense

            trained: Tensor = fused.group_norm(dense(x), norm.weight, norm.bias, norm.num_groups, norm.eps)[0]
            return trained
        if not is_fused and (x.device.type == "cpu" or x.dtype.itemsize < 4 or needs_plain_operations()):
            return norm(x)  # type: ignore[no-any-return]
        scale, shift = norm_scale_and_shift(norm, x, backend)
        if is_fused:
            from upsamplers.functional._triton.group_norm import scale_channels
            from upsamplers.functional._triton.launch import dense

            normalised: Tensor = scale_channels(dense(x), scale, shift)
            return normalised
        return torch.addcmul(shift[:, :, None, None], x, scale[:, :, None, None])


def norm_scale_and_shift(norm: nn.GroupNorm, x: Tensor, backend: str = "auto") -> tuple[Tensor, Tensor]:
    """A group norm of x as one multiply-add for each channel: norm(x) = x · scale + shift, without gradients.

    Accurate also for means far from zero: variances are those of blocks about their own means, joined.

    Args:
        norm: the layer; see `folds`.
        x: (B, C, H, W).
        backend: as in `upsamplers.create`.

    Returns:
        Scale and shift (B, C) each, in float32 (for a float64 x in float64).

    Raises:
        Unsupported: the backend cannot take x.
    """
    with stage("norm"):
        if uses_triton(backend, x, norm.weight, norm.bias):
            from upsamplers.functional._triton.group_norm import group_norm_scale_and_shift
            from upsamplers.functional._triton.launch import dense

            scale, shift = group_norm_scale_and_shift(dense(x), norm.weight, norm.bias, norm.num_groups, norm.eps)
            return scale, shift
        grouped = x.to(coordinate_dtype(x)).unflatten(1, (norm.num_groups, -1))  # (B, groups, C / groups, H, W)
        variance, mean = torch.var_mean(grouped, (2, 3, 4), correction=0)
        deviation = (variance + norm.eps).sqrt().repeat_interleave(x.shape[1] // norm.num_groups, 1)
        scale = norm.weight / deviation
        return scale, norm.bias - mean.repeat_interleave(x.shape[1] // norm.num_groups, 1) * scale


def normalised_product(
    u: Tensor, v: Tensor, norm_u: nn.GroupNorm, norm_v: nn.GroupNorm, slope: float, *, backend: str = "auto"
) -> Tensor:
    """Σ_c φ(norm_u(u)) · φ(norm_v(v)), with φ the leaky ReLU; in inference Triton writes no normalised feature.

    Args:
        u, v: (B, C, H, W), of the same strides.
        norm_u, norm_v: the layers.
        slope: of φ below zero.
        backend: as in `upsamplers.create`.

    Returns:
        (B, 1, H, W).

    Raises:
        Unsupported: the backend cannot take u and v.
    """
    with stage("norm"):
        is_folded = folds(norm_u, u) and folds(norm_v, v)
        if is_folded and uses_triton(backend, u, v, norm_u.weight, norm_u.bias, norm_v.weight, norm_v.bias):
            from upsamplers.functional._triton import group_norm as fused

            scales_u = norm_scale_and_shift(norm_u, u, backend)
            product: Tensor = fused.normalised_product(
                u, v, *scales_u, *norm_scale_and_shift(norm_v, v, backend), slope
            )
            return product
        u = F.leaky_relu(group_norm(u, norm_u, backend=backend), slope, inplace=True)
        v = F.leaky_relu(group_norm(v, norm_v, backend=backend), slope, inplace=True)
        return (u * v).sum(1, keepdim=True)


def folds(norm: nn.Module, x: Tensor) -> TypeGuard[nn.GroupNorm]:
    """Whether `norm_scale_and_shift` may stand in for calling the layer on x: nothing would notice the difference."""
    return not torch.is_grad_enabled() and _is_plain_norm(norm, x)


def _is_plain_norm(norm: nn.Module, x: Tensor) -> TypeGuard[nn.GroupNorm]:
    """Whether calling the layer on x does what its weights say and nothing else."""
    return isinstance(norm, nn.GroupNorm) and norm.affine and is_plain(norm) and not is_autocast(x)
