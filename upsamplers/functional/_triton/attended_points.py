"""Local deformable attention as operations that autograd, torch.compile and the FLOP counter know."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._torch.point_attention import point_gradients
from upsamplers.functional._torch.point_blocks import Neighbourhood
from upsamplers.functional._torch.precision import without_autocast
from upsamplers.functional._triton import attended_point_kernels as kernels
from upsamplers.functional._triton.launch import launch, materialized, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional._triton.point_attention import Points, attend, gradients


def attended_points_fwd(
    x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, kernel: int, groups: int, reach: float
) -> Tensor:
    """See `upsamplers.functional.attended_points`; query, bias and offsets are contiguous or channels_last.

    Besides the output it takes x and the keys channels last, unless they are, and 2Zk² + k² numbers an output pixel.
    """
    return attend(x, key, query, bias, _points(x, key, offsets, kernel, groups, reach))


def attended_points_bwd(
    grad: Tensor, x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor,
    kernel: int, groups: int, reach: float, deterministic: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradients of x, key, query, bias and offsets, added atomically; or those of the PyTorch form."""
    if deterministic:
        grad_x, *others = point_gradients((x, key, query, bias, offsets), grad, Neighbourhood(kernel, groups, reach))
        assert grad_x is not None
        return grad_x, others[0], others[1], others[2], others[3]
    grads = gradients(grad, x, key, query, bias, _points(x, key, offsets, kernel, groups, reach))
    with without_autocast(x):
        grad_bias = (grads.logits.squeeze(1) @ query.flatten(2).transpose(1, 2).float()).sum(0)  # (k², D)
    grad_offsets = torch.empty_like(offsets)
    (height, width), (out_height, out_width) = x.shape[2:], offsets.shape[2:]
    launch(
        kernels.point_positions_bwd_kernel,
        lambda meta: (-(-(out_height * out_width) // meta["BLOCK_P"]), groups * kernel**2, len(x)),
        offsets, grads.positions, grad_offsets, height, width, out_height, out_width, reach,
        *tuning_keys(offsets), *offsets.stride(),
    )  # fmt: skip
    return grads.x, grads.key, grads.query, grad_bias.to(bias.dtype), grad_offsets


def _points(x: Tensor, key: Tensor, offsets: Tensor, kernel: int, groups: int, reach: float) -> Points:
    batch, _, out_height, out_width = offsets.shape
    area, count = out_height * out_width, kernel**2
    positions = torch.empty((batch, groups, count, 2, area), dtype=torch.float32, device=x.device)
    launch(
        kernels.point_positions_kernel, lambda meta: (-(-area // meta["BLOCK_P"]), groups * count, batch),
        offsets, positions, count, *x.shape[2:], out_height, out_width, reach, *tuning_keys(offsets), *offsets.stride(),
        K=kernel,
    )  # fmt: skip
    return Points(positions, groups, key.shape[1] ** -0.5)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.hood = inputs[5:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    deterministic = torch.are_deterministic_algorithms_enabled()
    return (
        *attended_points_gradients(materialized(grad), *ctx.saved_tensors, *ctx.hood, deterministic),
        None,
        None,
        None,
    )


def _flops(x: Any, key: Any, query: Any, bias: Any, offsets: Any, kernel: int, *_: Any, **__: Any) -> int:
    """Four multiply-adds for each number of a sample of x, and five for one of the keys."""
    batch, channels, height, width = query
    return int(2 * batch * height * width * kernel**2 * (4 * x[1] + 5 * channels))


attended_points_gradients = Operation(
    attended_points_bwd, lambda grad, *tensors_and_hood: tuple(map(torch.empty_like, tensors_and_hood[:5]))
)
attended_points = Operation(
    attended_points_fwd,
    lambda x, key, query, *others: empty_feature(x, (*x.shape[:2], *query.shape[2:])),
    setup_context=_setup_context,
    backward=_backward,
    flops=_flops,
)
