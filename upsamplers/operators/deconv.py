"""Transposed convolution ("deconvolution")."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_features
from upsamplers.errors import Unsupported
from upsamplers.registry import register


@register("deconv", paper="Zeiler et al., CVPR 2010", year=2010)
class Deconv(Upsampler):
    """A transposed convolution C -> C of stride s, padded so that the output is exactly (B, C, sH, sW).

    Args:
        channels: C.
        scale: s.
        kernel_size: k >= s; by default 3 at s = 2 (padding 1, output padding 1), else 2s - (s mod 2).

    Raises:
        Unsupported: the kernel leaves gaps, or no padding gives the output's size.
    """

    def __init__(self, channels: int, *, scale: int = 2, kernel_size: int | None = None) -> None:
        super().__init__(channels, scale=scale)
        default = 3 if scale == 2 else 2 * scale - scale % 2
        size = default if kernel_size is None else kernel_size
        self.padding = -(-(size - scale) // 2)
        self.output_padding = 2 * self.padding - (size - scale)
        if size < scale or self.output_padding >= scale:
            raise Unsupported(
                f"kernel_size {size} does not fit scale {scale}; expected at least {scale}, odd at scale 1"
            )
        self.weight = nn.Parameter(torch.empty(channels, channels, size, size))  # (in, out, k, k)
        self.bias = nn.Parameter(torch.empty(channels))
        self.init_weights()

    def init_weights(self) -> None:
        """As torch's transposed convolution."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        bound = 1 / (self.weight.shape[-1] * math.sqrt(self.channels))
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        out = F.conv_transpose2d(
            x, self.weight, self.bias, stride=self.scale, padding=self.padding, output_padding=self.output_padding
        )
        return out.to(x.dtype)
