"""Sub-pixel convolution: more channels, then shuffled into space."""

from __future__ import annotations

from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_features, require_option
from upsamplers.functional._torch.pixel_shuffle import pixel_shuffle
from upsamplers.registry import register


@register("pixel-shuffle", paper="Shi et al., CVPR 2016", year=2016)
class PixelShuffle(Upsampler):
    """A convolution C -> s²C, then pixel shuffle s.

    Args:
        channels: C.
        scale: s.
        kernel_size: of the convolution; odd.

    Raises:
        Unsupported: the kernel size is even.
    """

    def __init__(self, channels: int, *, scale: int = 2, kernel_size: int = 3) -> None:
        super().__init__(channels, scale=scale)
        require_option("kernel_size", kernel_size, odd=True)
        self.add_module("0", nn.Conv2d(channels, scale**2 * channels, kernel_size, padding=kernel_size // 2))

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        expanded = self.get_submodule("0")(x)  # (B, s²C, H, W)
        return pixel_shuffle(expanded, self.scale).to(x.dtype)
