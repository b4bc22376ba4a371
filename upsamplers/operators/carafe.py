"""CARAFE: each output pixel a weighted sum of a window of x, the weights predicted from x."""

from __future__ import annotations

from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_divisible, require_features, require_option
from upsamplers.functional.convolve import convolve
from upsamplers.functional.project import project
from upsamplers.functional.reassemble import reassemble
from upsamplers.registry import register


@register("carafe", paper="Wang et al., ICCV 2019", year=2019)
class Carafe(Upsampler):
    """Content-Aware ReAssembly of FEatures (ICCV 2019, section 3.2).

    A 1×1 convolution compresses x, a second convolution encodes it into the weights of the s² output pixels of each
    input pixel, normalised by a softmax over the window; x is reassembled with them.

    Args:
        channels: C, divisible by up_group.
        scale: s.
        up_kernel: k, the side of the window; odd.
        up_group: Z; each of the Z contiguous channel groups has weights of its own.
        encoder_kernel: the side of the encoder's kernel; odd.
        encoder_dilation: of the encoder.
        compressed_channels: between the two convolutions.

    Raises:
        Unsupported: the channels do not fit, a kernel is even, or an option is below 1.
    """

    backends = ("torch", "triton")

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        up_kernel: int = 5,
        up_group: int = 1,
        encoder_kernel: int = 3,
        encoder_dilation: int = 1,
        compressed_channels: int = 64,
    ) -> None:
        super().__init__(channels, scale=scale)
        require_divisible(channels, up_group, "the groups of CARAFE")
        for name, size in (("up_kernel", up_kernel), ("encoder_kernel", encoder_kernel)):
            require_option(name, size, odd=True)
        for name, value in (("encoder_dilation", encoder_dilation), ("compressed_channels", compressed_channels)):
            require_option(name, value)
        self.up_kernel = up_kernel
        self.up_group = up_group
        self.channel_compressor = nn.Conv2d(channels, compressed_channels, 1)
        self.content_encoder = nn.Conv2d(
            compressed_channels,
            scale**2 * up_kernel**2 * up_group,
            encoder_kernel,
            padding=encoder_dilation * (encoder_kernel - 1) // 2,
            dilation=encoder_dilation,
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Xavier's for the compressor, almost zero for the encoder: at first every weight is about 1/k²."""
        nn.init.xavier_uniform_(self.channel_compressor.weight)
        nn.init.zeros_(self.channel_compressor.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.content_encoder.weight, std=0.001)
        nn.init.zeros_(self.content_encoder.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        return reassemble(
            x,
            self.logits(x),
            self.up_kernel,
            groups=self.up_group,
            scale=self.scale,
            normalize="softmax",
            backend=self.backend,
        )

    def logits(self, x: Tensor) -> Tensor:
        """Of the weights (B, Zk²s², H, W) for x (B, C, H, W)."""
        compressed = project(x, self.channel_compressor, backend=self.backend)
        return convolve(compressed, self.content_encoder, backend=self.backend)
