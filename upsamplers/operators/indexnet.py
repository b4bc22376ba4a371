"""IndexNet: a learned index map of the encoder feature weighs the nearest-upsampled feature."""

from __future__ import annotations

from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_features, require_guide
from upsamplers.errors import Unsupported
from upsamplers.functional.reassemble import reassemble
from upsamplers.registry import register


@register("indexnet", scales=(2,), paper="Lu et al., ICCV 2019", year=2019)
class IndexNet(Upsampler):
    """The holistic index network (ICCV 2019, section 4.1; nonlinear, with context).

    A strided convolution, batch norm and a 1×1 convolution turn the encoder feature into an index for each of the four
    output pixels of an input pixel, shared by all channels: a reassembly with a window of one pixel.

    Args:
        channels: C.
        scale: 2.
        guide_channels: G; C by default.

    Raises:
        Unsupported: the scale is not 2.
    """

    needs_guide = True
    backends = ("torch", "triton")

    def __init__(self, channels: int, *, scale: int = 2, guide_channels: int | None = None) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        if scale != 2:
            raise Unsupported(f"indexnet upsamples by 2 only, not by {scale}: its index map has stride 2")
        inside = 2 * self.guide_channels
        self.indexnet = nn.Sequential(
            nn.Conv2d(self.guide_channels, inside, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(inside),
            nn.ReLU6(),
            nn.Conv2d(inside, 4, 1, bias=False),
        )

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, 2H, 2W) -> (B, C, 2H, 2W)."""
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        if self.indexnet[1].training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            raise Unsupported("indexnet: batch norm cannot be trained on a single value; expected more than 1 pixel")
        indices = self.indexnet(guide).sigmoid()  # (B, 4, H, W)
        return reassemble(x, indices, 1, scale=self.scale, backend=self.backend)
