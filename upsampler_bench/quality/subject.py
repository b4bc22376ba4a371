"""An operator as the signature sees it, and the test signals that it is shown.

Each signal is drawn at the high resolution. x is its mean over s×s blocks, and the encoder feature of a guided operator
is the signal itself: the guide always fits x. Everything is float64, one image, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

import upsamplers
from upsampler_bench.case import IMAGE_CHANNELS, Case
from upsamplers import Upsampler

# Low-resolution pixels from the border that measures of the interior leave out: no window of an operator for
# decoders is larger than 13 pixels.
MARGIN = 6
# Standard deviation of the Gaussian that limits the band of `smooth_noise`, in low-resolution pixels: at the
# low-resolution Nyquist frequency 5e-5 of the energy is left.
SMOOTHING = 1.0


@dataclass(frozen=True)
class Subject:
    """An operator in evaluation mode, in float64, for features of C channels and H×W pixels."""

    module: Upsampler
    height: int
    width: int
    seed: int = 0

    @property
    def scale(self) -> int:
        """s."""
        return self.module.scale

    def __call__(self, fine: Tensor, feature: Tensor | None = None) -> Tensor:
        """The output for a signal.

        Args:
            fine: (1, C, sH, sW); x is its s×s means.
            feature: the encoder feature (1, C, sH, sW) of a guided operator; by default the signal.

        Returns:
            (1, C, sH, sW).

        Raises:
            ValueError: the output has another shape, or is not finite.
        """
        with torch.no_grad():
            x = F.avg_pool2d(fine, self.scale)  # (1, C, H, W)
            if self.module.needs_guide:
                feature = fine if feature is None else feature
                channels = torch.arange(self.module.guide_channels) % feature.shape[1]
                out: Tensor = self.module(x, self.module.make_guide(feature[:, channels]))
            else:
                out = self.module(x)
        if out.shape != fine.shape:
            raise ValueError(f"wrong output: shape {tuple(out.shape)}, expected {tuple(fine.shape)}")
        if not out.isfinite().all():
            raise ValueError("wrong output: not finite")
        return out

    def inside(self, image: Tensor, margin: int = MARGIN) -> Tensor:
        """A high-resolution image without so many low-resolution pixels at each border."""
        cut = self.scale * margin
        return image[..., cut:-cut, cut:-cut]

    def positions(self) -> tuple[Tensor, Tensor]:
        """Rows (sH, 1) and columns (1, sW) of the output's pixel centres, in low-resolution pixels."""
        rows, columns = (
            (torch.arange(self.scale * size, dtype=torch.float64) + 0.5) / self.scale - 0.5
            for size in (self.height, self.width)
        )
        return rows.unsqueeze(1), columns.unsqueeze(0)

    def image(self, values: Tensor | float) -> Tensor:
        """Values of one channel, (sH, sW) or what expands to it, as a signal (1, C, sH, sW) that is alike in all."""
        size = self.scale * self.height, self.scale * self.width
        image = torch.as_tensor(values, dtype=torch.float64)
        return image.expand(1, self.module.channels, *size).contiguous()

    def noise(self) -> Tensor:
        """White noise (1, C, sH, sW) of deviation 1."""
        size = self.scale * self.height, self.scale * self.width
        return torch.randn(1, self.module.channels, *size, generator=self._generator(), dtype=torch.float64)

    def smooth_noise(self, down: int = 0, across: int = 0) -> Tensor:
        """Noise (1, C, sH, sW) of deviation 1, limited to the low-resolution band.

        Args:
            down, across: output pixels by which the content is moved, 0 to s; what moves in at the border is noise too.
        """
        s = self.scale
        size = s * (self.height + 1), s * (self.width + 1)
        white = torch.randn(1, self.module.channels, *size, generator=self._generator(), dtype=torch.float64)
        rows = torch.fft.fftfreq(size[0], 1 / s, dtype=torch.float64)
        columns = torch.fft.rfftfreq(size[1], 1 / s, dtype=torch.float64)
        squares = rows.square().unsqueeze(1) + columns.square()
        # The transform of a Gaussian of deviation σ is exp(-2π²σ²f²), f in cycles per low-resolution pixel.
        limited = torch.fft.rfft2(white) * torch.exp(-2 * (torch.pi * SMOOTHING) ** 2 * squares)
        smooth: Tensor = torch.fft.irfft2(limited, s=size)
        smooth = smooth / smooth.std()
        return smooth[..., s - down : size[0] - down, s - across : size[1] - across].contiguous()

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def make(case: Case, seed: int, weights: str = "") -> Subject:
    """The operator of a case.

    Args:
        case: its name, channels, size and scale.
        seed: of the initial weights and of the noise.
        weights: a checkpoint whose weights take the place of the initial ones, where there are any; empty: none.

    Raises:
        upsamplers.UpsamplerError: there is no such operator, it refuses the case, or the weights do not fit.
    """
    spec = upsamplers.get(case.upsampler)
    guide_channels = IMAGE_CHANNELS if spec.cls.guide_is_image else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = upsamplers.create(
            case.upsampler, case.channels, scale=case.scale, guide_channels=guide_channels, backend="torch"
        )
    if weights and module.state_dict():
        upsamplers.load_published(module, weights)
    return Subject(module.double().eval(), case.height, case.width, seed)
