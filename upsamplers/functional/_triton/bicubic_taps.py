"""Window weights through a bicubic interpolation, as an operation whose gradient is its transpose."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from upsamplers.functional._torch.bicubic_taps import composed_kernel
from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._triton.bicubic_taps_kernels import bicubic_taps_kernel
from upsamplers.functional._triton.launch import dense, launch, materialized, pixel_strides, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional.backend import next_power_of_2


def bicubic_taps_fwd(weights: Tensor, kernel: int, scale: int, transposed: bool) -> Tensor:
    """Weights (B, k², sH, sW) -> (B, m², sH, sW), as `_torch.bicubic_taps.composed_weights`; or its transpose."""
    weights = dense(weights)
    out = _empty(weights, kernel, scale, transposed)
    batch, _, tall, wide = weights.shape
    composed = composed_kernel(kernel, scale)
    sides = (composed, kernel) if transposed else (kernel, composed)
    launch(
        bicubic_taps_kernel, lambda meta: (-(-tall * wide // meta["BLOCK_P"]), 1, batch),
        weights, out, tall // scale, wide // scale, *tuning_keys(weights),
        *pixel_strides(weights), *pixel_strides(out),
        S=scale, K=kernel, M=composed, TRANSPOSED=transposed,
        TAPS=next_power_of_2(sides[0]), OUT_TAPS=next_power_of_2(sides[1]),
    )  # fmt: skip
    return out


def _empty(weights: Tensor, kernel: int, scale: int, transposed: bool) -> Tensor:
    side = kernel if transposed else composed_kernel(kernel, scale)
    return empty_feature(dense(weights), (len(weights), side**2, *weights.shape[2:]))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.sizes = inputs[1:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
    kernel, scale, transposed = ctx.sizes
    return bicubic_taps(materialized(grad), kernel, scale, not transposed), None, None, None


def _flops(weights: Any, kernel: int, scale: int, *_: Any, **__: Any) -> int:
    batch, _, tall, wide = weights
    composed = composed_kernel(kernel, scale)
    return int(2 * batch * kernel * composed * (kernel + composed) * tall * wide)


bicubic_taps = Operation(bicubic_taps_fwd, _empty, setup_context=_setup_context, backward=_backward, flops=_flops)
