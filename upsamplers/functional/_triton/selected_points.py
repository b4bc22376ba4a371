"""Dynamic selection as operations that autograd, torch.compile and the FLOP counter know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._torch.point_selection import selection_gradients
from upsamplers.functional._triton.launch import materialized
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional._triton.point_attention import Points, attend, gradients


def selected_points_fwd(x: Tensor, key: Tensor, query: Tensor, offsets: Tensor, groups: int, scale: int) -> Tensor:
    """See `upsamplers.functional.selected_points`; the query is contiguous or channels_last.

    Besides the output it takes x and the keys channels last, unless they are, and 3ZP numbers an output pixel.
    """
    return attend(x, key, query, None, _points(offsets, groups, scale))


def selected_points_bwd(
    grad: Tensor, x: Tensor, key: Tensor, query: Tensor, offsets: Tensor, groups: int, scale: int, deterministic: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, key, query and offsets, added atomically; or those of the PyTorch form."""
    if deterministic:
        grad_x, *others = selection_gradients(x, key, query, offsets, grad, groups, scale)
        assert grad_x is not None
        return grad_x, others[0], others[1], others[2]
    grads = gradients(grad, x, key, query, None, _points(offsets, groups, scale))
    grad_offsets = torch.empty_like(offsets)
    pairs = grad_offsets.unflatten(1, (groups, -1, 2))  # columns before rows: (B, Z, P, 2, sH, sW)
    for axis in (0, 1):
        pairs[:, :, :, axis].copy_(grads.positions[:, :, :, 1 - axis].view(pairs.shape[:3] + pairs.shape[4:]))
    return grads.x, grads.key, grads.query, grad_offsets


def _points(offsets: Tensor, groups: int, scale: int) -> Points:
    height, width = offsets.shape[2:]
    moves = offsets.unflatten(1, (groups, -1, 2))  # (B, Z, P, 2, sH, sW)
    positions = torch.empty(moves.shape, dtype=torch.float32, device=offsets.device)
    rows, columns = (
        torch.arange(side, device=offsets.device).div(scale, rounding_mode="floor").to(positions.dtype)
        for side in (height, width)
    )
    torch.add(moves[:, :, :, 1], rows.unsqueeze(1), out=positions[:, :, :, 0])
    torch.add(moves[:, :, :, 0], columns, out=positions[:, :, :, 1])
    return Points(positions.flatten(4), 1, 1.0)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.sizes = inputs[4:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    deterministic = torch.are_deterministic_algorithms_enabled()
    return *selected_points_gradients(materialized(grad), *ctx.saved_tensors, *ctx.sizes, deterministic), None, None


def _flops(x: Any, key: Any, query: Any, offsets: Any, groups: int, *_: Any, **__: Any) -> int:
    """Four multiply-adds for each number of a sample of x, and five for one of the keys."""
    batch, channels, height, width = query
    points = offsets[1] // (2 * groups)
    return int(2 * batch * height * width * points * (4 * x[1] + 5 * channels))


selected_points_gradients = Operation(
    selected_points_bwd, lambda grad, *tensors_and_sizes: tuple(map(torch.empty_like, tensors_and_sizes[:4]))
)
selected_points = Operation(
    selected_points_fwd,
    lambda x, key, query, *others: empty_feature(x, (*x.shape[:2], *query.shape[2:])),
    setup_context=_setup_context,
    backward=_backward,
    flops=_flops,
)
