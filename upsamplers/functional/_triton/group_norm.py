"""Group norms by several programs a group, without gradients."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from upsamplers.functional._triton import group_norm_kernels as kernels
from upsamplers.functional._triton.launch import launch, tuning_keys
from upsamplers.functional._triton.operation import Operation

# Pixels whose mean one program takes: of a channel where rows are contiguous, else of some channels.
ROW_TILE, CHANNEL_TILE = 2048, 128


def _fake_scale_and_shift(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor]:
    shape = x.shape[:2]
    return x.new_empty(shape, dtype=torch.float32), x.new_empty(shape, dtype=torch.float32)


@partial(Operation, fake=_fake_scale_and_shift)
def group_norm_scale_and_shift(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
) -> tuple[Tensor, Tensor]:
    """Float32 (B, C) each for x (B, C, H, W), contiguous or channels_last: its group norm is x · scale + shift."""
    batch, channels, height, width = x.shape
    in_rows, pixels = x.stride(1) != 1 or channels == 1, height * width
    tile = ROW_TILE if in_rows else CHANNEL_TILE
    tiles = -(-pixels // tile)
    means = x.new_empty((batch, tiles, channels), dtype=torch.float32)
    squares = torch.empty_like(means)
    launch(
        kernels.tile_moments_kernel, lambda blocks: (tiles, -(-channels // blocks["BLOCK_C"]), batch),
        x, means, squares, channels, pixels, *tuning_keys(x), *_strides(x), TILE=tile, IN_ROWS=in_rows,
    )  # fmt: skip
    scale, shift = _fake_scale_and_shift(x, weight, bias, groups, eps)
    launch(
        kernels.scale_and_shift_kernel, lambda _: (groups, 1, batch),
        means, squares, weight, bias, scale, shift, eps, tiles, pixels, channels // groups, channels, TILE=tile,
    )  # fmt: skip
    return scale, shift


@partial(Operation, fake=lambda x, scale, shift: torch.empty_like(x))
def scale_channels(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """X (B, C, H, W), contiguous or channels_last, times a scale plus a shift, float32 (B, C) each; in its dtype."""
    out = torch.empty_like(x)
    batch, channels, height, width = x.shape
    launch(
        kernels.scale_channels_kernel,
        lambda blocks: (-(-height * width // blocks["BLOCK_P"]), -(-channels // blocks["BLOCK_C"]), batch),
        x, scale, shift, out, channels, height * width, *tuning_keys(x), *_strides(x),
        IN_ROWS=x.stride(1) != 1 or channels == 1,
    )  # fmt: skip
    return out


def _fake_product(
    u: Tensor, v: Tensor, scale_u: Tensor, shift_u: Tensor, scale_v: Tensor, shift_v: Tensor,
    slope: float,
) -> Tensor:  # fmt: skip
    return u.new_empty((u.shape[0], 1, u.shape[2], u.shape[3]))


@partial(Operation, fake=_fake_product)
def normalised_product(
    u: Tensor, v: Tensor, scale_u: Tensor, shift_u: Tensor, scale_v: Tensor, shift_v: Tensor,
    slope: float,
) -> Tensor:  # fmt: skip
    """Σ_c φ(u · scale_u + shift_u) · φ(v · scale_v + shift_v), (B, 1, H, W), with φ the leaky ReLU.

    u and v (B, C, H, W) have the same strides, contiguous or channels_last; scales and shifts are float32 (B, C).
    """
    out = u.new_empty((u.shape[0], 1, u.shape[2], u.shape[3]))
    batch, channels, height, width = u.shape
    launch(
        kernels.normalised_product_kernel, lambda blocks: (-(-height * width // blocks["BLOCK_P"]), 1, batch),
        u, v, scale_u, shift_u, scale_v, shift_v, out, slope, channels, height * width,
        *tuning_keys(u), *_strides(u),
    )  # fmt: skip
    return out


def _strides(x: Tensor) -> tuple[int, int, int]:
    """Of (image, channel, pixel), where pixels are numbered over the image."""
    _, channels, height, width = x.shape
    if x.is_contiguous():
        return channels * height * width, height * width, 1
    return channels * height * width, 1, channels
