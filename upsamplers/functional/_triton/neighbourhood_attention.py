"""Neighbourhood attention as operations that autograd, torch.compile and the FLOP counter know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from upsamplers.errors import Unsupported
from upsamplers.functional._triton import neighbourhood_attention_kernels as kernels
from upsamplers.functional._triton.launch import Grid, empty_upsampled, launch, materialized, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional.backend import next_power_of_2


def neighbourhood_attention_fwd(query: Tensor, key: Tensor, x: Tensor, kernel: int, heads: int, scale: int) -> Tensor:
    """See `upsamplers.functional.neighbourhood_attention`; query and key have one dtype. It keeps the output alone."""
    out = empty_upsampled(x, scale)
    launch(
        kernels.neighbourhood_attention_fwd_kernel, _grid(out, x.shape[1] // heads, heads),
        query, key, x, out, *_numbers(query, key, x, out, heads), **_constants(query, kernel, heads, scale),
    )  # fmt: skip
    return out


def neighbourhood_attention_bwd(
    grad: Tensor, query: Tensor, key: Tensor, x: Tensor, kernel: int, heads: int, scale: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and x, in a fixed order; beyond them two numbers for each output pixel and head."""
    grad_query, grad_key, grad_x = (torch.empty_like(tensor) for tensor in (query, key, x))
    numbers, constants = _numbers(query, key, x, grad, heads), _constants(query, kernel, heads, scale)
    lse = torch.empty((len(x), heads, *grad.shape[2:]), dtype=torch.float32, device=x.device)
    mean = torch.empty_like(lse)
    launch(
        kernels.neighbourhood_attention_bwd_dquery_kernel, _grid(grad, None, heads),
        query, key, x, grad, grad_query, lse, mean, *numbers, **constants,
    )  # fmt: skip
    for total, channels in ((grad_x, x.shape[1] // heads), (grad_key, None)):
        launch(
            kernels.neighbourhood_attention_bwd_dx_kernel, _grid(total, channels, heads),
            query, key, x, grad, lse, mean, total, *numbers, **constants, OF_KEY=channels is None,
        )  # fmt: skip
    return grad_query, grad_key, grad_x


def _numbers(query: Tensor, key: Tensor, x: Tensor, out: Tensor, heads: int) -> tuple[int | float, ...]:
    """What all kernels take besides tensors and constants, in their order."""
    depth = query.shape[1] // heads
    sizes = depth, x.shape[1] // heads, heads, *x.shape[2:], depth**-0.5, *tuning_keys(out, heads)
    return *sizes, *query.stride(), *key.stride(), *x.stride(), *out.stride()


def _constants(query: Tensor, kernel: int, heads: int, scale: int) -> dict[str, int]:
    return {"K": kernel, "S": scale, "DEPTH": max(16, next_power_of_2(query.shape[1] // heads))}


def _grid(image: Tensor, channels: int | None, heads: int) -> Callable[[Mapping[str, int]], Grid]:
    """Programs of BLOCK_H x BLOCK_W pixels of an image and BLOCK_C channels of a head, or of all."""
    batch, _, height, width = image.shape

    def grid(meta: Mapping[str, int]) -> Grid:
        tiles = -(-height // meta["BLOCK_H"]) * -(-width // meta["BLOCK_W"])
        return tiles, 1 if channels is None else -(-channels // meta["BLOCK_C"]), batch * heads

    return grid


def _fake(query: Tensor, key: Tensor, x: Tensor, kernel: int, heads: int, scale: int) -> Tensor:
    return empty_upsampled(x, scale)


def _bwd_fake(
    grad: Tensor, query: Tensor, key: Tensor, x: Tensor, kernel: int, heads: int, scale: int
) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(tensor) for tensor in (query, key, x))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.sizes = inputs[3:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():
        raise Unsupported("backend 'triton' has no second derivatives; backend 'torch' has")
    return *neighbourhood_attention_gradients(materialized(grad), *ctx.saved_tensors, *ctx.sizes), None, None, None


def _flops(query: Any, key: Any, x: Any, kernel: int, *_: Any, **__: Any) -> int:
    """A multiply-add for each channel of query and x, of every pixel in a window."""
    batch, depth, height, width = query
    return int(2 * batch * height * width * kernel**2 * (depth + x[1]))


neighbourhood_attention_gradients = Operation(neighbourhood_attention_bwd, _bwd_fake)
neighbourhood_attention = Operation(
    neighbourhood_attention_fwd, _fake, setup_context=_setup_context, backward=_backward, flops=_flops
)
