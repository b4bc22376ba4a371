"""Fixed rules: nearest, bilinear and bicubic interpolation."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from upsamplers.base import Upsampler
from upsamplers.checks import require_features
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.precision import without_autocast
from upsamplers.functional.interpolate_bilinear import interpolate_bilinear
from upsamplers.registry import register

RULES = ("nearest", "bilinear", "bicubic")


@register("nearest", rule="nearest", year=0)
@register("bicubic", rule="bicubic", paper="Keys, TASSP 1981", year=1981)
class Interpolate(Upsampler):
    """Interpolation with half-pixel centres (align_corners=False); no parameters, so that x may have any channels.

    Args:
        channels: C, of the example inputs.
        scale: s.
        rule: "nearest", "bilinear" or "bicubic".

    Raises:
        Unsupported: the rule is none of these.
    """

    def __init__(self, channels: int, *, scale: int = 2, rule: str = "bilinear") -> None:
        super().__init__(channels, scale=scale)
        if rule not in RULES:
            raise Unsupported(f"no rule {rule!r}; expected {', '.join(map(repr, RULES))}")
        self.rule = rule

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, None)
        if self.rule == "bilinear":
            return interpolate_bilinear(x, self.scale, backend=self.backend)
        align_corners = None if self.rule == "nearest" else False
        with without_autocast(x):  # which would answer in float32 on CUDA
            return F.interpolate(x, scale_factor=float(self.scale), mode=self.rule, align_corners=align_corners)


@register("bilinear", rule="bilinear", year=0)
class Bilinear(Interpolate):
    """The rule that has a Triton form."""

    backends = ("torch", "triton")
