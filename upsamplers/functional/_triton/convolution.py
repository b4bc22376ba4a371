"""Convolutions with few outputs by a Triton kernel, in float32 for inference."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._triton.convolution_kernels import convolve_fwd_kernel
from upsamplers.functional._triton.launch import dense, has_fast_tf32, launch, pixel_strides, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional._triton.projection import can_project
from upsamplers.functional.backend import next_power_of_2


def convolve_2d(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """As F.conv2d with zeros around x, as many as keep its size, and a stride of one.

    Args:
        x: (B, C, H, W) of float32; copied unless it is contiguous or channels_last.
        weight: (N, C, k, k) for an odd k.
        bias: (N) or None.
        dilation: of the taps.

    Returns:
        (B, N, H, W) in x's layout.
    """
    x = dense(x)
    (batch, channels, height, width), (outputs, *_, side) = x.shape, weight.shape
    out = _empty(x, weight)
    strides = pixel_strides(x), pixel_strides(out)
    in_rows = strides[0][2] == 1
    weight = weight.contiguous(memory_format=torch.contiguous_format if in_rows else torch.channels_last)
    launch(
        convolve_fwd_kernel,
        lambda meta: (-(-height * width // meta["BLOCK_P"]), 1, batch),
        x, weight, x if bias is None else bias, out,
        channels, height, width, outputs, dilation, *tuning_keys(x), *strides[0], *strides[1],
        SIDE=side, BLOCK_N=max(16, next_power_of_2(outputs)), HAS_BIAS=bias is not None, IN_ROWS=in_rows,
    )  # fmt: skip
    return out


def can_convolve(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel has room for the outputs of these weights, and is faster than cuDNN on x's device."""
    return has_fast_tf32(x.device) and can_project(x, [weight])


def _empty(x: Tensor, weight: Tensor, *_: Any) -> Tensor:
    return empty_feature(x, (x.shape[0], weight.shape[0], *x.shape[2:]))


def _flops(x: Any, weight: Any, *_: Any, **__: Any) -> int:
    """Two for each multiply-add, as torch counts."""
    batch, channels, height, width = x
    return int(2 * batch * weight[0] * channels * weight[2] ** 2 * height * width)


convolve = Operation(convolve_2d, _empty, flops=_flops)
