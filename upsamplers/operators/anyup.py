"""AnyUp: windowed cross-attention for the features of any backbone, with one set of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from upsamplers.checks import require_option, require_window
from upsamplers.errors import Unsupported
from upsamplers.functional.filter_responses import filter_responses
from upsamplers.operators._image_attention import (
    CrossDecoder,
    ImageAttention,
    RotaryPosition,
    residual,
    residual_layers,
    unit,
)
from upsamplers.registry import register


@register("anyup", paper="Wimmer et al., ICLR 2026", year=2026)
class AnyUp(ImageAttention):
    """Universal feature upsampling (AnyUp, ICLR 2026).

    Queries are encoded from the image's pixels, keys from the image averaged to x's size together with x, which is
    described by the responses of its channels to learned filters. Each output pixel is an average of the pixels of x in
    a window around it, by the attention of its query to their keys. The weights fit any number of channels.

    Args:
        channels: C.
        scale: s.
        guide_channels: G of the image, of any size; 3 by default.
        embedding_channels: E, of queries and keys; a multiple of 8 and of the heads.
        heads: whose weights are averaged.
        window_ratio: ρ; a window reaches so far to each side, as a share of x's height and width. 0 and below: no
            window, all of x.
        filter_size: k of the filters, odd.

    Raises:
        Unsupported: an option does not fit.
    """

    least_size = 2

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        guide_channels: int | None = 3,
        embedding_channels: int = 128,
        heads: int = 4,
        window_ratio: float = 0.1,
        filter_size: int = 5,
    ) -> None:
        super().__init__(channels, scale, guide_channels, embedding_channels, heads, _Residual)
        require_option("filter_size", filter_size, odd=True)
        if isinstance(window_ratio, bool) or not isinstance(window_ratio, int | float):
            raise Unsupported(f"window_ratio must be a number, not {window_ratio!r}")
        self.key_features_encoder = nn.Sequential(
            _Responses(embedding_channels, filter_size), _Residual(embedding_channels), _Residual(embedding_channels)
        )
        self.cross_decode = CrossDecoder(
            embedding_channels, heads, embedding_channels, is_normed=False, window=window_ratio
        )
        self.aggregation = nn.Sequential(
            nn.Conv2d(2 * embedding_channels, embedding_channels, 3, padding=1, padding_mode="reflect", bias=False),
            _Residual(embedding_channels),
            _Residual(embedding_channels),
        )
        self.rope = RotaryPosition(embedding_channels)
        self.init_weights()

    def init_weights(self) -> None:
        """The filters from a normal distribution, and the frequencies of the rotary position."""
        nn.init.normal_(self.key_features_encoder[0].basis)  # type: ignore[arg-type]
        super().init_weights()

    def add_features(self, key: Tensor, x: Tensor) -> Tensor:
        """Keys from those of the image and the features of x side by side: (B, E, H, W)."""
        require_window(x, 3, "reflection")
        features = self.key_features_encoder(unit(x)) + 1 / self.embedding_channels
        return self.aggregation(torch.cat((key, features), dim=1))  # type: ignore[no-any-return]


class _Residual(nn.Module):
    """A residual block, its layers named as published."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(*residual_layers(channels))

    def forward(self, z: Tensor) -> Tensor:
        return residual(z, self.block, [self.block])


class _Responses(nn.Module):
    """Features of any number of channels described by their responses to learned filters, less the responses' mean.

    The residual blocks that follow start with norms: they pass the mean on, so that it may as well be added after them.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.empty(channels, 1, kernel, kernel))

    def forward(self, x: Tensor) -> Tensor:
        return filter_responses(x, self.basis)
