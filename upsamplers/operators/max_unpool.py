"""Max unpooling: each value goes back to where max pooling took it from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.base import Upsampler
from upsamplers.checks import require_features
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.layout import laid_out_as
from upsamplers.functional.backend import uses_triton
from upsamplers.registry import register

# A program of the kernels holds s² output pixels of each input pixel.
LARGEST_SCALE = 8


@register("max-unpool", paper="Badrinarayanan et al., TPAMI 2017", year=2017)
class MaxUnpool(Upsampler):
    """SegNet's unpooling (section 3): x is placed at the indices of the feature's maxima, the rest is zero.

    The guide is those indices, which `make_guide` takes from an encoder feature by s x s max pooling; no gradient
    reaches the feature. There are no parameters, so that x and the feature may have any channels, the same of both.

    Args:
        channels: C, of the example inputs.
        scale: s.
        guide_channels: G, which must be C.

    Raises:
        Unsupported: G is not C.
    """

    needs_guide = True
    backends = ("torch", "triton")

    def __init__(self, channels: int, *, scale: int = 2, guide_channels: int | None = None) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        if self.guide_channels != channels:
            raise Unsupported(
                f"max-unpool: {guide_channels} guide channels, expected {channels}: each channel of x is placed by the "
                "maxima of its own channel of the feature"
            )

    def make_guide(self, feature: Tensor) -> Tensor:
        """The flat indices (B, C, H, W) of the maxima of the feature's s x s windows, from (B, C, sH, sW).

        Raises:
            Unsupported: the feature has sides not divisible by the scale.
        """
        require_features(feature, None, "the feature")
        if feature.shape[2] % self.scale or feature.shape[3] % self.scale:
            raise Unsupported(
                f"the feature has shape {tuple(feature.shape)}; expected sides divisible by the scale {self.scale} "
                "(`upsample_to` takes features of other sizes)"
            )
        return F.max_pool2d(feature.detach(), self.scale, return_indices=True)[1]

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and indices (B, C, H, W) into the flat output image -> (B, C, sH, sW)."""
        require_features(x, None)
        is_index = isinstance(guide, Tensor) and guide.dtype == torch.int64 and guide.device == x.device
        if not is_index or guide.shape != x.shape:
            found = repr(guide)
            if isinstance(guide, Tensor):
                found = f"{guide.dtype} of shape {tuple(guide.shape)} on {guide.device}"
            raise Unsupported(
                f"the guide is {found}; expected the int64 indices of shape {tuple(x.shape)} on {x.device} that "
                f"make_guide(feature) makes for this x"
            )
        too_large = f"takes scales up to {LARGEST_SCALE}, not {self.scale}" if self.scale > LARGEST_SCALE else None
        if uses_triton(self.backend, x, scale=self.scale, why_not=too_large):
            from upsamplers.functional._triton.launch import dense
            from upsamplers.functional._triton.unpool import max_unpool

            unpooled: Tensor = max_unpool(dense(x), guide, self.scale)
            return unpooled
        tall, wide = self.scale * x.shape[2], self.scale * x.shape[3]
        empty = x.new_zeros((x.shape[0], x.shape[1], tall * wide))
        return laid_out_as(x, empty.scatter_(2, guide.flatten(2), x.flatten(2)).view(*x.shape[:2], tall, wide))
