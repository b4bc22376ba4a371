"""Convolutions with few outputs, in float32 on tensor cores."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, nn

from upsamplers.checks import is_autocast
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import uses_triton

# The side of the largest kernel: a pixel has a bit of 32 for each tap.
LARGEST_SIDE = 5


def convolve(x: Tensor, layer: nn.Module, *, backend: str = "auto") -> Tensor:
    """What a convolution makes of x.

    The layer is called except in float32 inference on a GPU where torch is not allowed to round to TF32: cuDNN then
    uses no tensor cores, and a kernel that multiplies each pair of numbers as three of TF32 takes half the time.

    Args:
        x: (B, C, H, W).
        layer: nn.Conv2d, or what stands in its place.
        backend: as in `upsamplers.create`.

    Returns:
        (B, N, H, W) for N outputs of the layer.

    Raises:
        Unsupported: the backend cannot take x.
    """
    with stage("convolution"):
        if _fits(layer, x) and uses_triton(backend, x, layer.weight):
            from upsamplers.functional._triton import convolution

            if convolution.can_convolve(x, layer.weight):
                out: Tensor = convolution.convolve(x, layer.weight, layer.bias, layer.dilation[0])
                return out
        return layer(x)  # type: ignore[no-any-return]


def _fits(layer: nn.Module, x: Tensor) -> TypeGuard[nn.Conv2d]:
    """Whether the kernel computes what a plain layer does, and is wanted."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or not isinstance(layer, nn.Conv2d):
        return False
    (side, width), (dilation, other) = layer.kernel_size, layer.dilation
    is_same = layer.padding == (dilation * (side - 1) / 2,) * 2 and layer.padding_mode == "zeros" and side % 2 == 1
    is_simple = side == width <= LARGEST_SIDE and dilation == other and layer.stride == (1, 1) and layer.groups == 1
    is_float32 = x.dtype == layer.weight.dtype == torch.float32 and not is_autocast(x)
    return is_same and is_simple and is_float32 and is_plain(layer) and not _allows_tf32()


def _allows_tf32() -> bool:
    """Whether cuDNN may round what it multiplies to TF32."""
    cudnn = torch.backends.cudnn
    if hasattr(cudnn, "conv"):  # since torch 2.9, where reading the older setting can raise
        return bool(cudnn.conv.fp32_precision == "tf32")
    return bool(cudnn.allow_tf32)
