"""Transposed convolution ("deconvolution")."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_features, require_option
from upsamplers.errors import Unsupported
from upsamplers.registry import register


@register("deconv", paper="Zeiler et al., CVPR 2010", year=2010)
class Deconv(Upsampler):
    """A transposed convolution C -> C of stride s, padded so that the output is exactly (B, C, sH, sW).

    Its layer has the parameters of the operator: shard (FSDP) the operator, not the layer.

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
        require_option("kernel_size", size)
        padding = -(-(size - scale) // 2)
        output_padding = 2 * padding - (size - scale)
        if size < scale or output_padding >= scale:
            raise Unsupported(
                f"kernel_size {size} does not fit scale {scale}; expected at least {scale}, odd at scale 1"
            )
        self.layer = nn.ConvTranspose2d(channels, channels, size, scale, padding, output_padding)
        # The operator and its layer share their parameters: counters of FLOPs see an nn.ConvTranspose2d, and the
        # state_dict has `weight` and `bias`, as published.
        self._parameters = self.layer._parameters
        for method in ("_save_to_state_dict", "_load_from_state_dict"):
            setattr(self.layer, method, partial(_without_parameters, self.layer, method))

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        out: Tensor = self.layer(x)
        return out.to(x.dtype)


def _without_parameters(layer: nn.Module, method: str, *arguments: Any) -> None:
    """A layer's own part of a state_dict without its parameters, which are the operator's: what hooks keep in it."""
    other = object.__new__(type(layer))  # which shares all else, buffers and hooks too: the layer may be running
    other.__dict__ = {**layer.__dict__, "_parameters": {}}
    getattr(type(layer), method)(other, *arguments)
