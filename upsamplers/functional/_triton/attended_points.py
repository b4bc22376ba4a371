"""Local deformable attention as operations that autograd, torch.compile and the FLOP counter know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from upsamplers.errors import Unsupported
from upsamplers.functional._torch.point_attention import point_gradients
from upsamplers.functional._torch.point_blocks import Neighbourhood
from upsamplers.functional._triton import attended_point_kernels as kernels
from upsamplers.functional._triton.launch import (
    Grid,
    empty_feature,
    launch,
    materialized,
    tuning_keys,
)
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional.backend import next_power_of_2


def attended_points_fwd(
    x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, kernel: int, groups: int, reach: float
) -> Tensor:
    """See `upsamplers.functional.attended_points`; query, bias and offsets are contiguous or channels_last.

    Besides the output it takes x and the keys channels last, unless they are, and 2Zk² + k² numbers an output pixel.
    """
    pixels = _channels_last(x)
    positions, logits, lse = _attention(_channels_last(key), query, bias, offsets, kernel, groups, reach)
    out = empty_feature(x, (*x.shape[:2], *query.shape[2:]))
    launch(
        kernels.attended_points_fwd_kernel, _sum_grid(out, groups),
        pixels, positions, logits, lse, out,
        *_sizes(pixels, out, kernel, groups), *tuning_keys(out, groups), *_read_strides(pixels), *out.stride(),
    )  # fmt: skip
    return out


def _attention(
    keys: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, kernel: int, groups: int, reach: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Positions of points (B, Z, k², 2, N), logits (B, k², N) and their log-sum-exp (B, N), N = sH · sW."""
    batch, height, width, channels = keys.shape
    points, (out_height, out_width) = kernel**2, query.shape[2:]
    area = out_height * out_width
    positions = torch.empty((batch, groups, points, 2, area), dtype=torch.float32, device=keys.device)
    launch(
        kernels.point_positions_kernel, lambda meta: (-(-area // meta["BLOCK_P"]), groups * points, batch),
        offsets, positions, points, height, width, out_height, out_width, reach, *tuning_keys(query), *offsets.stride(),
        K=kernel,
    )  # fmt: skip
    logits, lse = positions.new_empty((batch, points, area)), positions.new_empty((batch, area))
    launch(
        kernels.attended_points_logits_kernel, _logits_grid(query),
        keys, query, bias, positions, logits, lse,
        *_sizes(keys, query, kernel, groups), channels**-0.5, *tuning_keys(query),
        *_read_strides(keys), *query.stride(), **_blocks_of_keys(channels, groups),
    )  # fmt: skip
    return positions, logits, lse


def attended_points_bwd(
    grad: Tensor, x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor,
    kernel: int, groups: int, reach: float, exact: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradients of x, key, query, bias and offsets.

    What output pixels give to x and to the keys is added in float32, in no order. Where it has to be the same bits each
    time (`exact`), the PyTorch form runs.
    """
    if exact:
        return point_gradients((x, key, query, bias, offsets), grad, Neighbourhood(kernel, groups, reach))
    pixels, keys = _channels_last(x), _channels_last(key)
    positions, logits, lse = _attention(keys, query, bias, offsets, kernel, groups, reach)
    attention = logits.sub_(lse.unsqueeze(1)).exp_()
    products, slopes = torch.zeros_like(attention), torch.zeros_like(positions)
    launch(
        kernels.attended_points_bwd_dpoints_kernel, _sum_grid(grad, groups),
        pixels, positions, attention, grad, products, slopes,
        *_sizes(pixels, grad, kernel, groups), *tuning_keys(grad, groups), *_read_strides(pixels), *grad.stride(),
    )  # fmt: skip
    grad_query, grad_offsets = torch.empty_like(query), torch.empty_like(offsets)
    grad_logits = torch.empty_like(attention)
    launch(
        kernels.attended_points_bwd_dquery_kernel, _logits_grid(query),
        keys, query, bias, offsets, positions, attention, products, slopes, grad_query, grad_offsets, grad_logits,
        *_sizes(keys, query, kernel, groups), keys.shape[3] ** -0.5, reach, *tuning_keys(query),
        *_read_strides(keys), *query.stride(), *offsets.stride(), **_blocks_of_keys(keys.shape[3], groups),
    )  # fmt: skip
    grads = []
    for image, vectors, weights in ((pixels, grad, attention), (keys, query, grad_logits)):
        total = torch.zeros_like(image, dtype=torch.float32)
        launch(
            kernels.attended_points_bwd_dx_kernel, _sum_grid(vectors, groups),
            vectors, positions, weights, total,
            *_sizes(image, vectors, kernel, groups), *tuning_keys(vectors, groups),
            *_read_strides(image), *vectors.stride(),
        )  # fmt: skip
        grads.append(total.permute(0, 3, 1, 2))
    grad_bias = (grad_logits @ query.flatten(2).transpose(1, 2).float()).sum(0)  # (k², D)
    return (
        torch.empty_like(x).copy_(grads[0]),
        torch.empty_like(key).copy_(grads[1]),
        grad_query,
        grad_bias.to(bias.dtype),
        grad_offsets,
    )


def _channels_last(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), a copy unless the image is laid out so."""
    return image.permute(0, 2, 3, 1).contiguous()


def _read_strides(pixels: Tensor) -> tuple[int, int, int]:
    """Of (batch, row, column) of (B, H, W, C), zero along an axis of one pixel: it is both pixels of a sample."""
    batch, row, column, _ = pixels.stride()
    return batch, row if pixels.shape[1] > 1 else 0, column if pixels.shape[2] > 1 else 0


def _sizes(pixels: Tensor, out: Tensor, kernel: int, groups: int) -> tuple[int, ...]:
    """Channels of a group, groups, points, and the sizes of the input (B, H, W, C) and the output (B, C, sH, sW)."""
    return pixels.shape[3] // groups, groups, kernel**2, *pixels.shape[1:3], *out.shape[2:]


def _sum_grid(out: Tensor, groups: int) -> Callable[[Mapping[str, int]], Grid]:
    batch, channels, height, width = out.shape

    def grid(meta: Mapping[str, int]) -> Grid:
        tiles = -(-height // meta["BLOCK_H"]) * -(-width // meta["BLOCK_W"])
        return tiles, -(-(channels // groups) // (meta["CHUNKS"] * meta["STEP_C"])), batch * groups

    return grid


def _logits_grid(query: Tensor) -> Callable[[Mapping[str, int]], Grid]:
    batch, _, height, width = query.shape
    return lambda meta: (-(-height // meta["BLOCK_H"]) * -(-width // meta["BLOCK_W"]), 1, batch)


def _blocks_of_keys(channels: int, groups: int) -> dict[str, int]:
    return {"GROUPS": next_power_of_2(groups), "DEPTH": next_power_of_2(channels // groups)}


def _fake(
    x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor, kernel: int, groups: int, reach: float
) -> Tensor:
    return empty_feature(x, (*x.shape[:2], *query.shape[2:]))


def _bwd_fake(
    grad: Tensor, x: Tensor, key: Tensor, query: Tensor, bias: Tensor, offsets: Tensor,
    kernel: int, groups: int, reach: float, exact: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    return tuple(torch.empty_like(tensor) for tensor in (x, key, query, bias, offsets))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.hood = inputs[5:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():
        raise Unsupported("backend 'triton' has no second derivatives; backend 'torch' has")
    exact = torch.are_deterministic_algorithms_enabled()
    return *attended_points_gradients(materialized(grad), *ctx.saved_tensors, *ctx.hood, exact), None, None, None


def _flops(x: Any, key: Any, query: Any, bias: Any, offsets: Any, kernel: int, *_: Any, **__: Any) -> int:
    """Four multiply-adds for each number of a sample of x, and five for one of the keys."""
    batch, channels, height, width = query
    return int(2 * batch * height * width * kernel**2 * (4 * x[1] + 5 * channels))


attended_points_gradients = Operation(attended_points_bwd, _bwd_fake)
attended_points = Operation(attended_points_fwd, _fake, setup_context=_setup_context, backward=_backward, flops=_flops)
