"""`filter_per_image` with two filters, and its gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._triton import image_filter_kernels as kernels
from upsamplers.functional._triton.launch import launch, tuning_keys
from upsamplers.functional._triton.operation import Operation


@partial(Operation, fake=lambda grad_u, grad_v, filters, y: torch.empty_like(y))
def filter_per_image_bwd_dy(grad_u: Tensor, grad_v: Tensor, filters: Tensor, y: Tensor) -> Tensor:
    """The gradient of y, gathered: it is the same each time."""
    grad_y = torch.empty_like(y)
    _, channels, height, width = grad_u.shape
    launch(
        kernels.filter_per_image_bwd_dy_kernel, _grid(grad_u),
        grad_u, grad_v, filters.contiguous(), grad_y, channels, height, width, *tuning_keys(grad_u),
        *grad_y.stride(), *grad_u.stride(), K=filters.shape[-1], IN_ROWS=grad_y.stride(3) == 1,
    )  # fmt: skip
    return grad_y


@partial(Operation, fake=lambda grad_u, grad_v, filters, y: filters.new_empty(filters.shape))
def filter_per_image_bwd_dfilters(grad_u: Tensor, grad_v: Tensor, filters: Tensor, y: Tensor) -> Tensor:
    """The gradient (B, 2, k, k) of the filters: a sum in each program, then the sum of those."""
    batch, channels, height, width = grad_u.shape
    tile = _correlation_tile(width, y.stride(3) == 1)
    grid = _grid(grad_u)(tile)
    sums = y.new_empty((batch, grid[0] * grid[1], 2 * filters.shape[-1] ** 2), dtype=torch.float32)
    launch(
        kernels.filter_per_image_bwd_dfilters_kernel, lambda _: grid,
        y, grad_u, grad_v, sums, channels, height, width, *tuning_keys(grad_u),
        *y.stride(), *grad_u.stride(), K=filters.shape[-1], IN_ROWS=y.stride(3) == 1, **tile,
    )  # fmt: skip
    return sums.sum(1).view(filters.shape).to(filters.dtype)


def filter_per_image_fwd(y: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    """`filter_per_image` of y (B, G, 2H, 2W), contiguous or channels_last, with filters (B, 2, k, k)."""
    out_u, out_v = _fake(y, filters)
    _, channels, height, width = out_u.shape
    launch(
        kernels.filter_per_image_fwd_kernel, _grid(out_u),
        y, filters.contiguous(), out_u, out_v, channels, height, width, *tuning_keys(out_u),
        *y.stride(), *out_u.stride(), K=filters.shape[-1], IN_ROWS=y.stride(3) == 1,
    )  # fmt: skip
    return out_u, out_v


def _fake(y: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    """Its outputs (B, G, H, W), uninitialised."""
    shape = (y.shape[0], y.shape[1], y.shape[2] // 2, y.shape[3] // 2)
    return empty_feature(y, shape), empty_feature(y, shape)


def _correlation_tile(width: int, in_rows: bool) -> dict[str, int]:
    """Blocks of the gradient of the filters, which are not tuned: their number is that of the sums that it leaves."""
    if not in_rows:
        return {"BLOCK_C": 32, "BLOCK_H": 2, "BLOCK_W": 2, "CHANNELS": 256}
    if width <= 8:
        return {"BLOCK_C": 8, "BLOCK_H": 2, "BLOCK_W": 4, "CHANNELS": 32}
    return {"BLOCK_C": 1, "BLOCK_H": 4, "BLOCK_W": 16, "CHANNELS": 32}


def _grid(out: Tensor) -> Callable[[Mapping[str, int]], tuple[int, int, int]]:
    """The programs for an output (B, G, H, W): tiles of pixels, blocks of channels, images."""
    batch, channels, height, width = out.shape

    def grid(blocks: Mapping[str, int]) -> tuple[int, int, int]:
        tiles = -(-height // (blocks["BLOCK_H"] * blocks.get("ROWS", 1))) * -(-width // blocks["BLOCK_W"])
        return tiles, -(-channels // blocks["CHANNELS"]), batch

    return grid


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad_u: Tensor | None, grad_v: Tensor | None) -> tuple[Tensor | None, ...]:
    y, filters = ctx.saved_tensors
    some = grad_u if grad_u is not None else grad_v
    if some is None:
        return None, None
    layout = torch.contiguous_format if y.is_contiguous() else torch.channels_last
    grads = [torch.zeros_like(some) if grad is None else grad for grad in (grad_u, grad_v)]
    grad_u, grad_v = (grad.contiguous(memory_format=layout) for grad in grads)
    needs_y, needs_filters = ctx.needs_input_grad
    return (
        filter_per_image_bwd_dy(grad_u, grad_v, filters, y) if needs_y else None,
        filter_per_image_bwd_dfilters(grad_u, grad_v, filters, y) if needs_filters else None,
    )


def _flops(y: Any, filters: Any, *_: Any, **__: Any) -> int:
    """Two for each multiply-add: both filters see k² pixels of y for each output."""
    batch, channels, tall, wide = y
    return int(2 * 2 * filters[-1] ** 2 * batch * channels * (tall // 2) * (wide // 2))


filter_per_image = Operation(
    filter_per_image_fwd, _fake, setup_context=_setup_context, backward=_backward, flops=_flops
)
