"""Filtering every channel of an image with filters that belong to that image alone."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from upsamplers.base import coordinate_dtype
from upsamplers.primitives.capturing import is_being_captured
from upsamplers.primitives.differentiable import gradients_again

STRIDE = 2
BLOCK = 16


def filtered_by_own(y: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
    """Every channel of each image filtered with stride 2 by that image's own filters (A2U, CVPR 2021, section 4.2).

    Backward reads y again and makes one gradient of it for all filters. A program that is being compiled, exported or
    traced gets products of shifted views: exporters want the groups of a convolution fixed, which here grow with the
    batch.

    Args:
        y: (B, G, 2H, 2W).
        filters: (B, N, k, k), k even; cast to y's dtype.

    Returns:
        N of (B, G, H, W).
    """
    filters = filters.to(y.dtype)
    if is_being_captured():
        return shifted_filters(y, filters)
    found: tuple[Tensor, ...] = _Filter.apply(y, filters)  # type: ignore[no-untyped-call]
    return found


def shifted_filters(y: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
    """`filtered_by_own` in plain differentiable operations on images: N · k² · G · H · W products an image."""
    side, (tall, wide) = filters.shape[2], y.shape[2:]
    padded = F.pad(y, (_padding(filters),) * 4)
    views = [
        padded[:, :, down : down + tall : STRIDE, across : across + wide : STRIDE]
        for down in range(side)
        for across in range(side)
    ]
    # (B, k², 1, 1) for each of the N.
    return tuple(_weighted(views, one.flatten(1)[..., None, None]) for one in filters.unbind(1))


def _weighted(views: list[Tensor], weights: Tensor) -> Tensor:
    """The sum of views (B, G, H, W), each times its channel of the weights (B, k², 1, 1)."""
    out = views[0] * weights[:, :1]
    for tap, view in enumerate(views[1:], start=1):
        out = out + view * weights[:, tap : tap + 1]
    return out


class _Filter(Function):
    """Keeps y and the filters alone for backward."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(y, filters)
        batch, channels, tall, wide = y.shape
        folded = y.reshape(1, batch * channels, tall, wide)
        weights = filters[:, :, None].expand(-1, -1, channels, -1, -1).transpose(0, 1)  # (N, B, G, k, k)
        groups, padding = batch * channels, _padding(filters)
        found = [F.conv2d(folded, one.flatten(0, 1).unsqueeze(1), None, STRIDE, padding, 1, groups) for one in weights]
        # Under autocast the convolution answers in half precision; backward takes y's.
        return tuple(one.view(batch, channels, tall // STRIDE, wide // STRIDE).to(y.dtype) for one in found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        y, filters = ctx.saved_tensors
        needs = ctx.needs_input_grad
        # Only where gradients of gradients are asked for.
        if torch.is_grad_enabled():
            return gradients_again(_stacked, (y, filters), torch.stack(grads), needs)
        grad_y = torch.empty_like(y) if needs[0] else None
        grad_filters = torch.zeros_like(filters, dtype=coordinate_dtype(filters))
        # Some channels at a time, so that they stay in a cache from one filter to the next.
        for image in range(y.shape[0]):
            for first in range(0, y.shape[1], BLOCK):
                part = (slice(image, image + 1), slice(first, first + BLOCK))
                own = [grad[part] for grad in grads]
                of_y, of_filters = _part_gradients(y[part], filters[image], own, needs)
                if grad_y is not None and of_y is not None:
                    grad_y[part].copy_(of_y)
                if of_filters is not None:
                    grad_filters[image].add_(of_filters)
        return grad_y, grad_filters.to(filters.dtype) if needs[1] else None


def _part_gradients(
    y: Tensor, filters: Tensor, grads: list[Tensor], needs: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of some channels of one image (1, G, 2H, 2W), and their share of that of its filters (N, k, k)."""
    count, padding = y.shape[1], _padding(filters)
    of_y: Tensor | None = None
    of_filters: list[Tensor] = []
    for one, grad in zip(filters, grads, strict=True):
        weight = one.expand(count, 1, -1, -1)
        found = torch.ops.aten.convolution_backward(
            grad, y, weight, None, (STRIDE,) * 2, (padding,) * 2, (1, 1), False, (0, 0), count, (*needs, False)
        )
        of_y = found[0] if of_y is None else of_y.add_(found[0])
        if needs[1]:
            of_filters.append(found[1].sum((0, 1), dtype=coordinate_dtype(filters)))
    return of_y, torch.stack(of_filters) if needs[1] else None


def _stacked(y: Tensor, filters: Tensor) -> Tensor:
    return torch.stack(shifted_filters(y, filters))


def _padding(filters: Tensor) -> int:
    return filters.shape[-1] // 2 - 1
