"""FADE: reassembly weights from both the encoder's and the decoder's feature."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler, reset_layers
from upsamplers.checks import require_features, require_guide, require_option
from upsamplers.errors import Unsupported
from upsamplers.functional.convolve import convolve
from upsamplers.functional.project import project
from upsamplers.functional.reassemble import reassemble
from upsamplers.registry import register

PAPER = "Lu et al., ECCV 2022"


@register("fade", paper=PAPER, year=2022)
@register("fade-gated", paper=PAPER, year=2022, gated=True)
@register("fade-lite", paper="Lu et al., IJCV 2024", year=2024, lite=True)
class Fade(Upsampler):
    """Fusing the Assets of Decoder and Encoder (ECCV 2022, section 3; "lite": IJCV 2024).

    The encoder feature and x, each compressed by a 1×1 convolution, go through one shared encoder, that of x at its own
    resolution ("semi-shift convolution"); their sum, softmaxed over the window, reassembles x. Gated, the result is
    blended with the encoder feature by a gate predicted from x.

    Args:
        channels: C.
        scale: s.
        guide_channels: G; C by default, and C where gated.
        up_kernel: k, the side of the window; odd.
        compressed_channels: between compressors and encoder; 64 by default; not where lite, which compresses to k².
        gated: blends with the encoder feature.
        lite: a depthwise encoder on k² channels.

    Raises:
        Unsupported: gated with G other than C, or an option does not fit.
    """

    needs_guide = True
    backends = ("torch", "triton")

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        guide_channels: int | None = None,
        up_kernel: int = 5,
        compressed_channels: int | None = None,
        gated: bool = False,
        lite: bool = False,
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        require_option("up_kernel", up_kernel, odd=True)
        taps = up_kernel**2
        default = taps if lite else 64
        inside = default if compressed_channels is None else compressed_channels
        require_option("compressed_channels", inside)
        if lite and inside != taps:
            raise Unsupported(f"fade-lite compresses to the k² = {taps} channels of its window, not to {inside}")
        self.up_kernel = up_kernel
        if gated and self.guide_channels != channels:
            raise Unsupported(
                f"a gate blends x with the encoder feature: expected {channels} guide channels, not {guide_channels}"
            )
        self.ker_generator = _KernelGenerator(channels, self.guide_channels, inside, up_kernel, lite=lite)
        self.gate_generator = _GateGenerator(channels, scale) if gated else None

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, sH, sW) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        of_guide, of_x = self.ker_generator(x, guide, self.backend)
        gate = None if self.gate_generator is None else self.gate_generator(x, self.backend)
        return reassemble(
            x,
            of_guide,
            self.up_kernel,
            scale=self.scale,
            normalize="softmax",
            shared=of_x,
            guide=None if gate is None else guide,
            gate=gate,
            backend=self.backend,
        )


class _XavierConvolutions(nn.Module):
    """Convolutions that start from Xavier's weights, without biases."""

    def reset_parameters(self) -> None:
        reset_layers(self)
        self.init_weights()

    def init_weights(self) -> None:
        for layer in self.children():
            assert isinstance(layer, nn.Conv2d)
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class _KernelGenerator(_XavierConvolutions):
    """Logits from both features, of each at its own resolution."""

    def __init__(self, channels: int, guide_channels: int, inside: int, up_kernel: int, *, lite: bool) -> None:
        super().__init__()
        self.compressor_en = nn.Conv2d(guide_channels, inside, 1)
        self.compressor_de = nn.Conv2d(channels, inside, 1, bias=False)
        self.content_encoder = nn.Conv2d(inside, up_kernel**2, 3, padding=1, groups=inside if lite else 1)
        self.init_weights()

    def forward(self, x: Tensor, guide: Tensor, backend: str = "auto") -> tuple[Tensor, Tensor]:
        """What the guide (B, k², sH, sW) and x (B, k², H, W) add to the logits."""
        of_guide = convolve(project(guide, self.compressor_en, backend=backend), self.content_encoder, backend=backend)
        of_x = convolve(project(x, self.compressor_de, backend=backend), self.content_encoder, backend=backend)
        return of_guide, of_x


class _GateGenerator(_XavierConvolutions):
    """A gate (B, 1, sH, sW) in [0, 1] from x (B, C, H, W)."""

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(channels, 1, 1)
        self.init_weights()

    def forward(self, x: Tensor, backend: str = "auto") -> Tensor:
        return F.interpolate(
            project(x, self.conv, backend=backend).sigmoid(), scale_factor=float(self.scale), mode="nearest"
        )
