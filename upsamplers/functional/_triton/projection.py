"""1x1 convolutions with few outputs by a Triton kernel, for inference."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

from torch import Tensor

from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._triton.launch import dense, launch, pixel_strides, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional._triton.projection_kernels import project_fwd_kernel
from upsamplers.functional.backend import MOST_ELEMENTS, next_power_of_2

# Outputs of one projection, or of two side by side, that a program has in registers.
MOST_OUTPUTS = 128


def project(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    shuffle: int = 1,
    norm_scale: Tensor | None = None,
    norm_shift: Tensor | None = None,
) -> Tensor:
    """One or two 1x1 convolutions of x, their outputs side by side, without gradients.

    out[b, n·r² + q] = bias[n] + Σ_c weight[n, c] · (norm_scale[b, c'] · x[b, c'] + norm_shift[b, c']), c' = c·r² + q:
    with r = shuffle > 1 each sub-pixel q of the pixel-shuffled x is projected, without shuffling it.

    Args:
        x: (B, C, H, W) of float32, float16 or bfloat16; copied unless it is contiguous or channels_last.
        weights: one or two of (N, C/r², 1, 1).
        biases: (N) or None for each of the weights.
        shuffle: r.
        norm_scale, norm_shift: (B, C) in float32, what a norm does to x; both or neither.

    Returns:
        (B, ΣN·r², H, W) in x's dtype and layout.
    """
    second, second_bias = (weights[1], biases[1]) if len(weights) > 1 else (None, None)
    out: Tensor = _project(dense(x), weights[0], second, biases[0], second_bias, norm_scale, norm_shift, shuffle)
    return out


def can_project(x: Tensor, weights: Sequence[Tensor], shuffle: int = 1) -> bool:
    """Whether the kernel has room for the outputs of these weights side by side, and counts them in 32 bits."""
    outputs = sum(weight.shape[0] for weight in weights)
    return outputs <= MOST_OUTPUTS and outputs * shuffle**2 * x.shape[2] * x.shape[3] < MOST_ELEMENTS


def project_1x1(
    x: Tensor, weight: Tensor, second_weight: Tensor | None, bias: Tensor | None, second_bias: Tensor | None,
    norm_scale: Tensor | None, norm_shift: Tensor | None, shuffle: int,
) -> Tensor:  # fmt: skip
    """`project` with each tensor of its own; x is contiguous or channels_last."""
    batch, _, height, width = x.shape
    outputs = weight.shape[0]
    second_outputs = 0 if second_weight is None else second_weight.shape[0]
    out = _empty(x, outputs + second_outputs, shuffle)
    pixels = height * width
    strides = pixel_strides(x), pixel_strides(out)
    align = gcd(16, pixels, *(stride[1] for stride in strides)) if strides[0][2] == 1 else 1
    launch(
        project_fwd_kernel,
        lambda meta: (-(-pixels // meta["BLOCK_P"]), 1, batch * shuffle**2),
        x, weight.contiguous(), x if second_weight is None else second_weight.contiguous(),
        x if bias is None else bias, x if second_bias is None else second_bias,
        x if norm_scale is None else norm_scale.contiguous(), x if norm_shift is None else norm_shift.contiguous(), out,
        weight.shape[1], pixels, outputs, second_outputs, *tuning_keys(x, shuffle**2), *strides[0], *strides[1],
        SHUFFLE=shuffle, BLOCK_N=max(16, next_power_of_2(outputs + second_outputs)),
        HAS_SECOND=second_weight is not None, HAS_BIAS=bias is not None, HAS_SECOND_BIAS=second_bias is not None,
        HAS_NORM=norm_scale is not None, ALIGN=align,
    )  # fmt: skip
    return out


def _empty(x: Tensor, outputs: int, shuffle: int) -> Tensor:
    return empty_feature(x, (x.shape[0], outputs * shuffle**2, *x.shape[2:]))


def _flops(x: Any, weight: Any, second_weight: Any, *others: Any, **_: Any) -> int:
    """Two for each multiply-add, as torch counts."""
    batch, channels, height, width = x
    outputs = weight[0] + (0 if second_weight is None else second_weight[0])
    return int(2 * batch * outputs * channels * height * width)


_project = Operation(
    project_1x1,
    lambda x, weight, second_weight, *others: _empty(
        x, weight.shape[0] + (0 if second_weight is None else second_weight.shape[0]), others[-1]
    ),
    flops=_flops,
)
