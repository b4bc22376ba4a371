"""1x1 convolutions with few outputs, for inference without cuDNN's separate pass for their biases."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, nn

from upsamplers.checks import is_autocast
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import uses_triton
from upsamplers.functional.group_norm import folds, group_norm, norm_scale_and_shift


def project(x: Tensor, *layers: nn.Module, norm: nn.GroupNorm | None = None, backend: str = "auto") -> Tensor:
    """What one or two 1x1 convolutions make of x, or of its norm, side by side.

    The layers are called where gradients are wanted, under autocast, and where one has hooks or is parametrised.

    Args:
        x: (B, C, H, W).
        layers: nn.Conv2d, alone or in an nn.Sequential, or what stands in its place.
        norm: of x; where the convolutions are one kernel, the normalised x is not made.
        backend: as in `upsamplers.create`.

    Returns:
        (B, ΣN, H, W) for N outputs of each layer.

    Raises:
        Unsupported: the backend cannot take x.
    """
    with stage("projection"):
        alone = [_alone(layer) for layer in layers] if is_plain(*layers) else []
        convolutions = [layer for layer in alone if _is_projection(layer, x)]
        weights = [convolution.weight for convolution in convolutions]
        is_folded = norm is None or folds(norm, x)
        if is_folded and len(weights) == len(layers) and uses_triton(backend, x, *weights):
            from upsamplers.functional._triton import projection

            if projection.can_project(x, weights):
                scale, shift = (None, None) if norm is None else norm_scale_and_shift(norm, x, backend)
                biases = [convolution.bias for convolution in convolutions]
                return projection.project(x, weights, biases, norm_scale=scale, norm_shift=shift)
        if norm is not None:
            x = group_norm(x, norm, backend=backend)
        outputs = [layer(x) for layer in layers]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)


def _alone(layer: nn.Module) -> nn.Module:
    """The layer within an nn.Sequential of one."""
    return layer[0] if isinstance(layer, nn.Sequential) and len(layer) == 1 else layer


def _is_projection(layer: nn.Module, x: Tensor) -> TypeGuard[nn.Conv2d]:
    """Whether a plain layer multiplies each pixel of x by its weight and does nothing else."""
    if torch.is_grad_enabled() or is_autocast(x) or not isinstance(layer, nn.Conv2d):
        return False
    is_pointwise = layer.kernel_size == layer.stride == (1, 1) and layer.padding == (0, 0) and layer.groups == 1
    return is_pointwise and layer.weight.dtype == x.dtype
