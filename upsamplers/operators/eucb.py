"""EUCB: nearest upsampling, a depthwise convolution and a projection."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import is_autocast, require_features
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.recomputation import recomputed
from upsamplers.registry import register


@register("eucb", paper="EMCAD, Rahman et al., CVPR 2024", year=2024)
class EUCB(Upsampler):
    """The Efficient Up-Convolution Block of EMCAD (CVPR 2024, section 3.1).

    x is upsampled by nearest, filtered by a depthwise 3×3 convolution with batch norm and ReLU, and projected by a 1×1
    convolution. The published channel shuffle has as many groups as channels, so it changes nothing and is left out.

    Args:
        channels: C.
        scale: s.
    """

    def __init__(self, channels: int, *, scale: int = 2) -> None:
        super().__init__(channels, scale=scale)
        self.up_dwc = nn.Sequential(
            nn.Upsample(scale_factor=float(scale), mode="nearest"),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.pwc = nn.Sequential(nn.Conv2d(channels, channels, 1))
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions from a normal distribution, without a bias."""
        for layer in (self.up_dwc[1], self.pwc[0]):
            nn.init.normal_(layer.weight, std=0.02)  # type: ignore[arg-type]
        nn.init.zeros_(self.pwc[0].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        if self.up_dwc[2].training and x[:, 0].numel() * self.scale**2 == 1:
            raise Unsupported("eucb: batch norm cannot be trained on a single value; expected more than 1 pixel")
        out: Tensor = self.pwc(self._filtered(x))
        return out.to(x.dtype)

    def _filtered(self, x: Tensor) -> Tensor:
        """What `up_dwc` makes of x: (B, C, sH, sW)."""
        if needs_plain_operations() or not is_plain(self.up_dwc):
            return self.up_dwc(x)  # type: ignore[no-any-return]
        _, convolution, norm, _ = self.up_dwc
        dtype = torch.get_autocast_dtype("cpu") if is_autocast(x) else x.dtype
        if x.device.type == "cpu" and dtype.itemsize < 4:  # a transposed convolution takes ten times as long
            filtered = recomputed(self.up_dwc[:2], x.to(dtype), layers=[convolution])
            return norm(filtered).relu_()  # type: ignore[no-any-return]
        weight: Tensor = convolution.weight  # type: ignore[assignment]
        # Taps that fall on one pixel of x add up: a transposed convolution of x, without the upsampled copy.
        ones = weight.new_ones(1, 1, self.scale, self.scale)
        kernel = F.conv2d(weight.flip(2, 3), ones, padding=self.scale - 1)  # (C, 1, s + 2, s + 2)
        filtered = F.conv_transpose2d(x, kernel, stride=self.scale, padding=1, groups=self.channels)
        return norm(filtered).relu_()  # type: ignore[no-any-return]
