"""Attention over points that are given: what local deformable attention and dynamic selection have in common."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.layout import empty_feature
from upsamplers.functional._triton import attended_point_kernels as kernels
from upsamplers.functional._triton.launch import Blocks, launch, rectangle_grid, tuning_keys
from upsamplers.functional.backend import next_power_of_2


class Points(NamedTuple):
    """The points that output pixels attend to, and who shares an attention.

    Attributes:
        positions: (B, Z, P, 2, N) in float32, rows before columns, in pixels of x.
        sharing: groups side by side with one attention: Z, or 1.
        factor: of the logits.
    """

    positions: Tensor
    sharing: int
    factor: float

    def sizes(self, pixels: Tensor, out: Tensor) -> tuple[int, ...]:
        """A group's channels, groups, sharing, points, sizes of input (B, H, W, C) and output (B, C, sH, sW)."""
        groups, points = self.positions.shape[1:3]
        return pixels.shape[3] // groups, groups, self.sharing, points, *pixels.shape[1:3], *out.shape[2:]


class PointGradients(NamedTuple):
    """Gradients of the inputs of `attend`; those of logits (B, A, P, N) include the factor."""

    x: Tensor
    key: Tensor
    query: Tensor
    logits: Tensor
    positions: Tensor


def attend(x: Tensor, key: Tensor, query: Tensor, bias: Tensor | None, points: Points) -> Tensor:
    """The output (B, C, sH, sW), laid out as x: Σ_m softmax_m(factor · query · (key_m + bias_m)) · x_m.

    Beyond the output it allocates the logits, and channels-last copies of x and keys unless they already are.

    Args:
        x: (B, C, H, W).
        key: (B, D, H, W).
        query: (B, D, sH, sW), contiguous or channels_last.
        bias: (P, D), or None.
        points: what is attended to.
    """
    logits, lse = _logits(pixels_of(key), query, bias, points)
    pixels = pixels_of(x)
    out = empty_feature(x, (*x.shape[:2], *query.shape[2:]))
    groups = points.positions.shape[1]
    launch(
        kernels.attended_points_fwd_kernel, _sum_grid(out, groups),
        pixels, points.positions, logits, lse, out,
        *points.sizes(pixels, out), *tuning_keys(out, groups), *pixels.stride()[:3], *out.stride(),
    )  # fmt: skip
    return out


def gradients(
    grad: Tensor, x: Tensor, key: Tensor, query: Tensor, bias: Tensor | None, points: Points
) -> PointGradients:
    """The gradients of `attend`, all of which consist of sums in float32 that are added atomically, in no order."""
    pixels, keys = pixels_of(x), pixels_of(key)
    positions, groups = points.positions, points.positions.shape[1]
    logits, lse = _logits(keys, query, bias, points)
    attention = logits.sub_(lse.unsqueeze(2)).exp_()
    grad_weights, grad_positions = torch.zeros_like(attention), torch.zeros_like(positions)
    launch(
        kernels.attended_points_bwd_dpoints_kernel, _sum_grid(grad, groups),
        pixels, positions, attention, grad, grad_weights, grad_positions,
        *points.sizes(pixels, grad), *tuning_keys(grad, groups), *pixels.stride()[:3], *grad.stride(),
    )  # fmt: skip
    grad_query, grad_logits = torch.empty_like(query), torch.empty_like(attention)
    launch(
        kernels.attended_points_bwd_dquery_kernel, _logits_grid(query, points),
        keys, query, query if bias is None else bias, positions, attention, grad_weights, grad_positions,
        grad_query, grad_logits,
        *points.sizes(keys, query), points.factor, *tuning_keys(query),
        *keys.stride()[:3], *query.stride(), **_blocks_of_keys(keys, bias, points),
    )  # fmt: skip
    grads = []
    for image, like, vectors, weights in ((pixels, x, grad, attention), (keys, key, query, grad_logits)):
        total = torch.zeros_like(image, dtype=torch.float32)
        launch(
            kernels.attended_points_bwd_dx_kernel, _sum_grid(vectors, groups),
            vectors, positions, weights, total,
            *points.sizes(image, vectors), *tuning_keys(vectors, groups), *total.stride()[:3], *vectors.stride(),
        )  # fmt: skip
        height, width = like.shape[2:]
        grads.append(torch.empty_like(like).copy_(total.permute(0, 3, 1, 2)[:, :, :height, :width]))
    grad_x, grad_key = grads
    return PointGradients(grad_x, grad_key, grad_query, grad_logits, grad_positions)


def pixels_of(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), a copy unless the image is laid out so.

    Every sample is of two pixels along an axis: a side of one pixel gets zeros after it, which lie outside.
    """
    missing = [int(side == 1) for side in (image.shape[3], image.shape[2])]
    if any(missing):
        image = F.pad(image, (0, missing[0], 0, missing[1]))
    return image.permute(0, 2, 3, 1).contiguous()


def _logits(keys: Tensor, query: Tensor, bias: Tensor | None, points: Points) -> tuple[Tensor, Tensor]:
    """Logits (B, A, P, N) and their log-sum-exp (B, A, N), N = sH · sW, for A attentions."""
    batch, groups, count, _, area = points.positions.shape
    logits = points.positions.new_empty((batch, groups // points.sharing, count, area))
    lse = logits.new_empty((batch, groups // points.sharing, area))
    launch(
        kernels.attended_points_logits_kernel, _logits_grid(query, points),
        keys, query, query if bias is None else bias, points.positions, logits, lse,
        *points.sizes(keys, query), points.factor, *tuning_keys(query),
        *keys.stride()[:3], *query.stride(), **_blocks_of_keys(keys, bias, points),
    )  # fmt: skip
    return logits, lse


def _sum_grid(out: Tensor, groups: int) -> Blocks:
    batch, channels, height, width = out.shape
    return rectangle_grid((height, width), channels // groups, batch * groups)


def _logits_grid(query: Tensor, points: Points) -> Blocks:
    batch, _, height, width = query.shape
    return rectangle_grid((height, width), None, batch * (points.positions.shape[1] // points.sharing))


def _blocks_of_keys(keys: Tensor, bias: Tensor | None, points: Points) -> dict[str, int | bool]:
    return {
        "HAS_BIAS": bias is not None,
        "GROUPS": next_power_of_2(points.sharing),
        "DEPTH": next_power_of_2(keys.shape[3] // points.positions.shape[1]),
    }
