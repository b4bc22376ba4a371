"""The weights of a learned joint bilateral filter as an operation: a forward alone, for inference."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from upsamplers.functional._triton.bilateral_weights_kernels import bilateral_weights_fwd_kernel
from upsamplers.functional._triton.launch import dense, launch, pixel_strides, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional.backend import next_power_of_2


def bilateral_weights_fwd(
    range_weights: Tensor, sigma: Tensor, guide: Tensor, weight: Tensor, second_weight: Tensor, second_bias: Tensor,
    kernel: int, least: float, share: float, dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    """Range times spatial weights, over their sum, and a correction by two 1×1 convolutions with a GELU between.

    Args:
        range_weights: (B, k², H, W).
        sigma: of the spatial weights, one element.
        guide: what the first convolution makes of the guide, bias included, (B, k², H, W).
        weight: of the first convolution for the weights, (k², k², 1, 1).
        second_weight, second_bias: of the second.
        kernel: k.
        least: that the weights are divided by.
        share: of the correction.
        dtype: of the result.

    Returns:
        (B, k², H, W), laid out as the range weights.
    """
    range_weights, guide, second_weight = dense(range_weights), dense(guide), second_weight.contiguous()
    batch, taps, height, width = range_weights.shape
    out = torch.empty_like(range_weights, dtype=dtype)
    launch(
        bilateral_weights_fwd_kernel, lambda meta: (-(-height * width // meta["BLOCK_P"]), 1, batch),
        range_weights, sigma, guide, weight, second_weight, second_bias, out,
        height * width, least, share, *tuning_keys(range_weights),
        *pixel_strides(range_weights), *pixel_strides(guide), weight.stride(0), weight.stride(1),
        K=kernel, TAPS=max(16, next_power_of_2(taps)),
    )  # fmt: skip
    return out


def _fake(range_weights: Tensor, *others: Any) -> Tensor:
    return torch.empty_like(dense(range_weights), dtype=others[-1])


def _flops(range_weights: Any, *_: Any, **__: Any) -> int:
    batch, taps, height, width = range_weights
    return int(2 * 2 * batch * taps**2 * height * width)


bilateral_weights = Operation(bilateral_weights_fwd, _fake, flops=_flops)
