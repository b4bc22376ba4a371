"""`reassemble` and `local_affinity` in plain differentiable operations on images, for programs of any size."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

PADDINGS = {"zeros": "constant", "reflection": "reflect", "replication": "replicate"}


def shifted_sum(
    x: Tensor, weights: Tensor, kernel: int, *, groups: int = 1, scale: int = 2, border: str = "zeros"
) -> Tensor:
    """`reassemble` as k² products of images: x (B, C, H, W), weights (B, Zk², sH, sW) -> (B, C, sH, sW)."""
    channels, (tall, wide) = x.shape[1], weights.shape[2:]
    weights = weights.reshape(-1, kernel**2, tall, wide)  # (B·Z, k², sH, sW)
    by_group = x.reshape(-1, channels // groups, *x.shape[2:])  # (B·Z, C/Z, H, W)
    out: Tensor | None = None
    for tap, shifted in enumerate(shifted_copies(by_group, kernel, scale, border)):
        term = shifted * weights[:, tap : tap + 1]
        out = term if out is None else out + term
    assert out is not None
    return out.reshape(-1, channels, tall, wide)


def shifted_dots(query: Tensor, key: Tensor, kernel: int, *, scale: int = 2, border: str = "zeros") -> Tensor:
    """`local_affinity` as k² sums of images: query (B, D, sH, sW), key (B, D, H, W) -> (B, k², sH, sW)."""
    sums = [(query * shifted).sum(1, keepdim=True) for shifted in shifted_copies(key, kernel, scale, border)]
    return torch.cat(sums, dim=1)


def shifted_copies(x: Tensor, kernel: int, scale: int, border: str) -> Iterator[Tensor]:
    """What each tap of the window sees at every output pixel: k² views (B, C, sH, sW) of one padded x (B, C, H, W)."""
    padded = F.pad(x, (kernel // 2,) * 4, mode=PADDINGS[border])
    copies = padded.unsqueeze(2).expand(-1, -1, scale**2, -1, -1)
    nearest = F.pixel_shuffle(copies.flatten(1, 2), scale)  # (B, C, sP, sQ): every pixel s x s times
    tall, wide = (side - scale * (kernel - 1) for side in nearest.shape[2:])
    for tap in range(kernel**2):
        down, across = scale * (tap // kernel), scale * (tap % kernel)
        yield nearest[:, :, down : down + tall, across : across + wide]
