"""`average_pool` and its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from upsamplers.functional._triton.average_pool_kernels import average_pool_bwd_dy_kernel, average_pool_fwd_kernel
from upsamplers.functional._triton.launch import launch, tuning_keys
from upsamplers.functional._triton.operation import Operation


def average_pool_fwd(y: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The averages (B, G, side, side) and (B, G, 1, 1) of y (B, G, H, W), contiguous or channels_last."""
    batch, channels, height, width = y.shape
    pooled = y.new_empty((batch, channels, side, side))
    shares = torch.empty_like(pooled, dtype=torch.float32)
    launch(
        average_pool_fwd_kernel,
        lambda blocks: (side**2, -(-channels // blocks["BLOCK_C"]), batch),
        y, pooled, shares, channels, height, width, *tuning_keys(y), *y.stride(),
        SIDE=side, DIVIDES=height % side == width % side == 0, IN_ROWS=y.stride(3) == 1,
    )  # fmt: skip
    return pooled, shares.sum((2, 3), keepdim=True).to(y.dtype)


@partial(Operation, fake=lambda grad_pooled, grad_mean, y: torch.empty_like(y))
def average_pool_bwd_dy(grad_pooled: Tensor, grad_mean: Tensor, y: Tensor) -> Tensor:
    """The gradient of y."""
    batch, channels, height, width = y.shape
    grad_y = torch.empty_like(y)

    def grid(blocks: Mapping[str, int]) -> tuple[int, int, int]:
        tiles = -(-height // blocks["BLOCK_H"]) * -(-width // blocks["BLOCK_W"])
        return tiles, -(-channels // blocks["BLOCK_C"]), batch

    launch(
        average_pool_bwd_dy_kernel, grid, grad_pooled.contiguous(), grad_mean.contiguous(), grad_y,
        channels, height, width, *tuning_keys(y), *y.stride(), SIDE=grad_pooled.shape[3], IN_ROWS=y.stride(3) == 1,
    )  # fmt: skip
    return grad_y


def _fake(y: Tensor, side: int) -> tuple[Tensor, Tensor]:
    return y.new_empty((*y.shape[:2], side, side)), y.new_empty((*y.shape[:2], 1, 1))


def _setup_context(ctx: Any, inputs: tuple[Tensor, int], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.side = inputs[1]
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad_pooled: Tensor | None, grad_mean: Tensor | None) -> tuple[Tensor | None, None]:
    (y,) = ctx.saved_tensors
    if grad_pooled is None and grad_mean is None:
        return None, None
    if grad_pooled is None:
        grad_pooled = y.new_zeros((*y.shape[:2], ctx.side, ctx.side))
    if grad_mean is None:
        grad_mean = y.new_zeros((*y.shape[:2], 1, 1))
    return average_pool_bwd_dy(grad_pooled, grad_mean, y), None


average_pool = Operation(average_pool_fwd, _fake, setup_context=_setup_context, backward=_backward)
