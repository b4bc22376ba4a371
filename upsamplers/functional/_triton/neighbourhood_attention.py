"""Neighbourhood attention as operations that autograd, torch.compile and the FLOP counter know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from upsamplers.functional._triton import neighbourhood_attention_kernels as kernels
from upsamplers.functional._triton.launch import empty_upsampled, launch, materialized, rectangle_grid, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional.backend import next_power_of_2


def neighbourhood_attention_fwd(query: Tensor, key: Tensor, x: Tensor, kernel: int, heads: int, scale: int) -> Tensor:
    """See `upsamplers.functional.neighbourhood_attention`; query and key have one dtype. Allocates only the output."""
    out = empty_upsampled(x, scale)
    launch(
        kernels.neighbourhood_attention_fwd_kernel,
        rectangle_grid(out.shape[2:], x.shape[1] // heads, len(x) * heads),
        query, key, x, out, *_numbers(query, key, x, out, heads), **_constants(query, kernel, heads, scale),
    )  # fmt: skip
    return out


def neighbourhood_attention_bwd_dquery(
    grad: Tensor, query: Tensor, key: Tensor, x: Tensor, kernel: int, heads: int, scale: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient of the query; and what the other gradients need, the log-sum-exp of the logits and delta.

    Returns:
        (B, D, sH, sW), and twice (B, heads, sH, sW) in float32.
    """
    grad_query = torch.empty_like(query)
    lse = torch.empty((len(x), heads, *grad.shape[2:]), dtype=torch.float32, device=x.device)
    delta = torch.empty_like(lse)
    launch(
        kernels.neighbourhood_attention_bwd_dquery_kernel,
        rectangle_grid(grad.shape[2:], None, len(x) * heads),
        query, key, x, grad, grad_query, lse, delta,
        *_numbers(query, key, x, grad, heads), **_constants(query, kernel, heads, scale),
    )  # fmt: skip
    return grad_query, lse, delta


def neighbourhood_attention_bwd_dx(
    grad: Tensor, query: Tensor, key: Tensor, x: Tensor, lse: Tensor, delta: Tensor,
    kernel: int, heads: int, scale: int, of_key: bool,
) -> Tensor:  # fmt: skip
    """The gradient of x, or of the keys, in a fixed order."""
    out = torch.empty_like(key if of_key else x)
    launch(
        kernels.neighbourhood_attention_bwd_dx_kernel,
        rectangle_grid(x.shape[2:], None if of_key else x.shape[1] // heads, len(x) * heads),
        query, key, x, grad, lse, delta, out,
        *_numbers(query, key, x, grad, heads), **_constants(query, kernel, heads, scale), OF_KEY=of_key,
    )  # fmt: skip
    return out


def _numbers(query: Tensor, key: Tensor, x: Tensor, out: Tensor, heads: int) -> tuple[int | float, ...]:
    """What all kernels take besides tensors and constants, in their order."""
    depth = query.shape[1] // heads
    sizes = depth, x.shape[1] // heads, heads, *x.shape[2:], depth**-0.5, *tuning_keys(out, heads)
    return *sizes, *query.stride(), *key.stride(), *x.stride(), *out.stride()


def _constants(query: Tensor, kernel: int, heads: int, scale: int) -> dict[str, int]:
    return {"K": kernel, "S": scale, "DEPTH": max(16, next_power_of_2(query.shape[1] // heads))}


def _dquery_fake(
    grad: Tensor, query: Tensor, key: Tensor, x: Tensor, kernel: int, heads: int, scale: int
) -> tuple[Tensor, Tensor, Tensor]:
    lse = torch.empty((len(x), heads, *grad.shape[2:]), dtype=torch.float32, device=x.device)
    return torch.empty_like(query), lse, torch.empty_like(lse)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.sizes = inputs[3:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    given, sizes = (materialized(grad), *ctx.saved_tensors), ctx.sizes
    grad_query, lse, delta = dquery(*given, *sizes)
    _, wants_key, wants_x = ctx.needs_input_grad[:3]
    grad_key = dx(*given, lse, delta, *sizes, True) if wants_key else None
    grad_x = dx(*given, lse, delta, *sizes, False) if wants_x else None
    return grad_query, grad_key, grad_x, None, None, None


def _flops(query: Any, key: Any, x: Any, kernel: int, *_: Any, **__: Any) -> int:
    """A multiply-add for each channel of query and x, of every pixel in a window."""
    batch, depth, height, width = query
    return int(2 * batch * height * width * kernel**2 * (depth + x[1]))


dquery = Operation(neighbourhood_attention_bwd_dquery, _dquery_fake)
dx = Operation(
    neighbourhood_attention_bwd_dx,
    lambda grad, query, key, x, *others: torch.empty_like(key if others[-1] else x),  # the last: of_key
)
neighbourhood_attention = Operation(
    neighbourhood_attention_fwd,
    lambda query, key, x, kernel, heads, scale: empty_upsampled(x, scale),
    setup_context=_setup_context,
    backward=_backward,
    flops=_flops,
)
