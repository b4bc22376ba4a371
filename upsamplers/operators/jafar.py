"""JAFAR: cross-attention from an image's pixels to the features of a backbone."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.checks import require_values_to_norm
from upsamplers.operators._image_attention import (
    GROUPS,
    CrossDecoder,
    ImageAttention,
    RotaryPosition,
    encoder,
    residual,
    residual_layers,
    unit,
)
from upsamplers.registry import register


@register("jafar", paper="Couairon et al., NeurIPS 2025", year=2025)
class JAFAR(ImageAttention):
    """Jack up Any Feature at Any Resolution (JAFAR, NeurIPS 2025).

    Queries are encoded from the image's pixels, keys from the image averaged to x's size, scaled and shifted as x says.
    Each output pixel is an average of all pixels of x, by the attention of its query to their keys.

    Args:
        channels: C.
        scale: s.
        guide_channels: G of the image, of any size; 3 by default.
        embedding_channels: E, of queries and keys; a multiple of 8 and of the heads.
        heads: whose weights are averaged.

    Raises:
        Unsupported: an option does not fit.
    """

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        guide_channels: int | None = 3,
        embedding_channels: int = 128,
        heads: int = 4,
    ) -> None:
        super().__init__(channels, scale, guide_channels, embedding_channels, heads, _Residual)
        self.key_features_encoder = encoder(channels, embedding_channels, _Residual)
        self.cross_decode = CrossDecoder(embedding_channels, heads, channels, is_normed=True, window=0)
        self.sft_key = _Modulation(embedding_channels)
        self.rope = RotaryPosition(embedding_channels)
        self.init_weights()

    def add_features(self, key: Tensor, x: Tensor) -> Tensor:
        """Keys, scaled and shifted as x says: (B, E, H, W)."""
        require_values_to_norm(x, GROUPS, channels=self.embedding_channels)
        return self.sft_key(key, self.key_features_encoder(unit(x)))  # type: ignore[no-any-return]


class _Residual(nn.Sequential):
    """A residual block, its layers named as published."""

    def __init__(self, channels: int) -> None:
        names = "norm1", "silu1", "conv1", "norm2", "silu2", "conv2"
        super().__init__(OrderedDict(zip(names, residual_layers(channels), strict=True)))

    def forward(self, z: Tensor) -> Tensor:
        return residual(z, super().forward, self)


class _Modulation(nn.Module):
    """Normed keys, scaled and shifted as features say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Conv2d(channels, channels, 1, bias=False)
        self.beta = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, key: Tensor, features: Tensor) -> Tensor:
        return torch.addcmul(self.beta(features), self.gamma(features), F.group_norm(key, GROUPS))
