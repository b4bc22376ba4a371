"""FeatUp's whole upsampler: joint bilateral stages, each of which doubles x."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from upsamplers.base import Composed
from upsamplers.checks import (
    POWERS_OF_TWO,
    require_features,
    require_guide_of_any_size,
    require_option,
    require_size,
    require_stages,
)
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional.average_pool import pool_to
from upsamplers.operators.jbu import JBU
from upsamplers.registry import register

DROPOUT, FIXUP_SHARE = 0.2, 0.1


@register("jbu-stack", scales=POWERS_OF_TWO, paper="FeatUp, Fu et al., ICLR 2024", year=2024)
class JBUStack(Composed):
    """The stack of learned joint bilateral upsamplers of FeatUp (ICLR 2024, section 3.2).

    Each of log2(s) stages is a JBU of its own weights that doubles what the stage before made, guided by the image
    averaged to its output's size. A tenth of a 1 × 1 convolution is added to the last.

    Args:
        channels: C.
        scale: s, a power of two from 2 on.
        guide_channels: G of the image; 3 by default.
        radius: of the stages' windows; 2H and 2W must be larger.
        key_channels: of the stages' projections.
        stages: their number, log2(s), as published configurations state it; anything else is refused.

    Raises:
        Unsupported: the scale is no power of two, or an option does not fit.
    """

    needs_guide = guide_is_image = True
    backends = ("torch", "triton")
    least_size = 2

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        guide_channels: int | None = None,
        radius: int = 3,
        key_channels: int = 32,
        stages: int | None = None,
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        self.count = require_stages("jbu-stack", scale)
        if stages not in (None, self.count):
            raise Unsupported(f"jbu-stack takes {self.count} stages to upsample by {scale}, not {stages!r}")
        require_option("radius", radius)
        self.least_size = radius // 2 + 1
        for stage in range(1, self.count + 1):
            jbu = JBU(channels, guide_channels=self.guide_channels, radius=radius, key_channels=key_channels)
            self.add_module(f"up{stage}", jbu)
        self.fixup_proj = nn.Sequential(nn.Dropout2d(DROPOUT), nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an image (B, G, h, w) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        require_guide_of_any_size(guide, x, self.guide_channels)
        require_size(x, self.least_size, "the stages reflect their windows")
        v = x
        for stage in self._stages():
            v = stage(v, pool_to(guide, 2 * v.shape[2], 2 * v.shape[3]))
        correction = self.fixup_proj(v)
        if self._may_overwrite(correction, v):
            return cast(Tensor, correction.mul_(FIXUP_SHARE).add_(v))
        return torch.add(v, correction, alpha=FIXUP_SHARE).to(x.dtype)

    def _may_overwrite(self, correction: Tensor, v: Tensor) -> bool:
        """Whether nothing but the output is made of the correction, which then takes no third feature of its size."""
        if torch.is_grad_enabled() or needs_plain_operations() or not is_plain(self.fixup_proj):
            return False
        return correction.dtype == v.dtype

    def _stages(self) -> Iterator[JBU]:
        for stage in range(1, self.count + 1):
            yield cast(JBU, getattr(self, f"up{stage}"))
