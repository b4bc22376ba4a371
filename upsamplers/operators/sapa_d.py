"""SAPA-D: dynamic selection of the points of x that an output pixel is affiliated with."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import (
    require_divisible,
    require_features,
    require_guide,
    require_option,
    require_values_to_norm,
)
from upsamplers.functional._torch.pixel_shuffle import pixel_shuffle
from upsamplers.functional.group_norm import group_norm
from upsamplers.functional.selected_points import selected_points
from upsamplers.registry import register

NORM_GROUPS = 32


@register("sapa-d", paper="Liu et al., arXiv 2023", year=2023)
class SapaD(Upsampler):
    """Similarity-Aware Point Affiliation with dynamic selection ("On Point Affiliation in Feature Upsampling").

    x predicts where the points of an output pixel lie. Queries are projected from the guide, keys from x and read at
    the points; the softmax of their products over a group's points weighs x there. It starts close to `nearest`.

    Args:
        channels: C, divisible by the groups; where normed a multiple of 32.
        scale: s.
        guide_channels: G; C by default; where normed a multiple of 32.
        points: of a group, for each output pixel.
        groups: Z; each of the Z contiguous channel groups has points, queries and keys of its own.
        embedding_channels: D, of queries and keys, for each group.
        high_offset: offsets for each output pixel; else its input pixel's serve all s² output pixels.
        norm: normalises x and the guide before projections; x is read as it is.

    Raises:
        Unsupported: the channels do not fit, or an option does not.
    """

    needs_guide = True
    backends = ("torch", "triton")

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        guide_channels: int | None = None,
        points: int = 9,
        groups: int = 4,
        embedding_channels: int = 32,
        high_offset: bool = True,
        norm: bool = False,
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        require_option("points", points)
        require_option("embedding_channels", embedding_channels)
        require_divisible(channels, groups, "the groups of SAPA-D's points")
        self.groups, self.high_offset = groups, high_offset
        self.norm_x = self.norm_y = None
        if norm:
            require_divisible(channels, NORM_GROUPS, "the groups of SAPA-D's norm of x")
            require_divisible(self.guide_channels, NORM_GROUPS, "the groups of SAPA-D's norm of the guide")
            self.norm_y = nn.GroupNorm(NORM_GROUPS, self.guide_channels)
            self.norm_x = nn.GroupNorm(NORM_GROUPS, channels)
        self.q = nn.Conv2d(self.guide_channels, groups * embedding_channels, 1)
        self.k = nn.Conv2d(channels, groups * embedding_channels, 1)
        self.offset = nn.Conv2d(channels, groups * points * 2 * (scale**2 if high_offset else 1), 1)
        self.init_weights()

    def init_weights(self) -> None:
        """Projections from a normal distribution, without biases."""
        for layer in (self.q, self.k, self.offset):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, sH, sW) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        query, key = self._normed(guide, self.norm_y, "the guide"), self._normed(x, self.norm_x, "x")
        offsets = self.offset(key)
        query, key = self.q(query), self.k(key)
        if self.high_offset:
            offsets = pixel_shuffle(offsets, self.scale)
        else:
            offsets = F.interpolate(offsets, scale_factor=float(self.scale), mode="nearest")
        return selected_points(x, key, query, offsets, groups=self.groups, scale=self.scale, backend=self.backend)

    def _normed(self, feature: Tensor, norm: nn.GroupNorm | None, what: str) -> Tensor:
        if norm is None:
            return feature
        require_values_to_norm(feature, NORM_GROUPS, what)
        return group_norm(feature, norm, backend=self.backend)
