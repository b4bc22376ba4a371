"""FreqFusion: low-pass kernels that upsample x, and high-pass kernels that sharpen its guide."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_divisible, require_features, require_guide, require_option
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.pixel_shuffle import pixel_shuffle, pixel_unshuffle
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional.convolve import convolve
from upsamplers.functional.group_norm import group_norm
from upsamplers.functional.project import project
from upsamplers.functional.reassemble import reassemble
from upsamplers.functional.sample_points import bilinear_positions, displacement, sample_points
from upsamplers.registry import register

DIRECTIONS = ("sim_concat", "sim")
# The 8 neighbours that a pixel is compared with are two pixels away.
DILATION, NEIGHBOURS = 2, 8
NORM_CHANNELS = 8
LEAST_NORM = 1e-8
ENCODER_STD = 0.001


@register("freqfusion", scales=(2,), paper="Chen et al., TPAMI 2024", year=2024)
class FreqFusion(Upsampler):
    """Frequency-aware Feature Fusion (TPAMI 2024, section 4).

    Both features are compressed and encoded into logits of low-pass kernels, which reassemble x (section 4.1), and of
    high-pass kernels, what remains of which sharpens the guide (section 4.3: `upsample_both`). With `feature_resample`
    the output is read again at learned points (section 4.2).

    Args:
        channels: C; with `feature_resample` divisible by its groups.
        scale: 2.
        guide_channels: G; C by default.
        compressed_channels: m; with `feature_resample_norm` a multiple of 8.
        lowpass_kernel, highpass_kernel: the sides of the windows; odd.
        encoder_kernel: of the convolutions on compressed features; odd.
        hamming_window: multiplies kernels by a Hamming window.
        feature_resample: reads the output again at learned points.
        feature_resample_group: Z; each of the Z contiguous channel groups has points of its own.
        feature_resample_norm: normalises the compressed features before points are predicted.
        direction_feat: "sim_concat": points are predicted from features and their similarities to their neighbours;
            "sim": offsets from similarities alone, scopes from features alone.

    Raises:
        Unsupported: the scale is not 2, the channels do not fit, or an option does not.
    """

    needs_guide = True
    backends = ("torch", "triton")
    hamming_lowpass: Tensor
    hamming_highpass: Tensor

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        guide_channels: int | None = None,
        compressed_channels: int = 64,
        lowpass_kernel: int = 5,
        highpass_kernel: int = 3,
        encoder_kernel: int = 3,
        hamming_window: bool = True,
        feature_resample: bool = False,
        feature_resample_group: int = 4,
        feature_resample_norm: bool = True,
        direction_feat: str = "sim_concat",
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        if scale != 2:
            raise Unsupported(f"freqfusion upsamples by 2 only, not by {scale}")
        require_option("compressed_channels", compressed_channels)
        require_option("lowpass_kernel", lowpass_kernel, odd=True)
        require_option("highpass_kernel", highpass_kernel, odd=True)
        require_option("encoder_kernel", encoder_kernel, odd=True)
        self.lowpass_kernel, self.highpass_kernel = lowpass_kernel, highpass_kernel
        self.hamming_window = hamming_window
        inside, reach = compressed_channels, encoder_kernel // 2
        self.hr_channel_compressor = nn.Conv2d(self.guide_channels, inside, 1)
        self.lr_channel_compressor = nn.Conv2d(channels, inside, 1)
        self.content_encoder = nn.Conv2d(inside, lowpass_kernel**2, encoder_kernel, padding=reach)
        self.content_encoder2 = nn.Conv2d(inside, highpass_kernel**2, encoder_kernel, padding=reach)
        for name, kernel in (("hamming_lowpass", lowpass_kernel), ("hamming_highpass", highpass_kernel)):
            self.register_buffer(name, torch.empty((1, 1, kernel, kernel) if hamming_window else 1))
        self.dysampler = None
        if feature_resample:
            require_divisible(channels, feature_resample_group, "the groups of freqfusion's points")
            self.dysampler = _Resampler(
                inside, encoder_kernel, feature_resample_group, direction_feat, normed=feature_resample_norm
            )
        self.init_weights()

    def init_weights(self) -> None:
        """Xavier's for all convolutions, but logits near zero; the windows and the initial points."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for encoder in (self.content_encoder, self.content_encoder2):
            nn.init.normal_(encoder.weight, std=ENCODER_STD)
        for window in (self.hamming_lowpass, self.hamming_highpass):
            if self.hamming_window:
                side = torch.hamming_window(window.shape[3], periodic=False, dtype=torch.float64)
                window.copy_(torch.outer(side, side))
            else:
                window.fill_(1)
        if self.dysampler is not None:
            self.dysampler.set_initial_positions()

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, 2H, 2W) -> (B, C, 2H, 2W)."""
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        low, high, _ = self._compressed(x, guide)
        return self._upsampled(x, low, high, self._lowpass_logits(low, high))

    def upsample_both(self, x: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """The upsampled x, as of `forward`, and the sharpened guide, which a model adds to it.

        Args:
            x: (B, C, H, W).
            guide: an encoder feature (B, G, 2H, 2W).

        Returns:
            (B, C, 2H, 2W) and (B, G, 2H, 2W).

        Raises:
            Unsupported: x or the guide does not fit.
        """
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        low, high, logits_of_guide = self._compressed(x, guide)
        mask = self._lowpass_logits(low, high)
        logits = logits_of_guide + self._lowpass(self._encoded(low, self.content_encoder2), mask, scale=2)
        sharpened = guide + (guide - self._highpass(guide, logits))
        return self._upsampled(x, low, high, mask), sharpened.to(guide.dtype)

    def _compressed(self, x: Tensor, guide: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compressed x (B, m, H, W), compressed and sharpened guide (B, m, 2H, 2W), its high-pass logits before."""
        high = project(guide, self.hr_channel_compressor, backend=self.backend)
        logits = self._encoded(high, self.content_encoder2)  # (B, kh², 2H, 2W)
        high = high + (high - self._highpass(high, logits))
        return project(x, self.lr_channel_compressor, backend=self.backend), high, logits

    def _lowpass_logits(self, low: Tensor, high: Tensor) -> Tensor:
        """Of the kernels that upsample x: (B, kl², 2H, 2W)."""
        logits = self._encoded(high, self.content_encoder)
        return logits + self._lowpass(self._encoded(low, self.content_encoder), logits, scale=2)

    def _upsampled(self, x: Tensor, low: Tensor, high: Tensor, mask: Tensor) -> Tensor:
        out = self._lowpass(x, mask, scale=2)
        if self.dysampler is not None:
            out = sample_points(out, self.dysampler(low, high, self.backend), 1, factor=2.0, backend=self.backend)
        return out

    def _encoded(self, x: Tensor, encoder: nn.Module) -> Tensor:
        return convolve(x, encoder, backend=self.backend)

    def _lowpass(self, x: Tensor, logits: Tensor, *, scale: int) -> Tensor:
        return self._reassembled(x, logits, self.lowpass_kernel, self.hamming_lowpass, scale)

    def _highpass(self, x: Tensor, logits: Tensor) -> Tensor:
        return self._reassembled(x, logits, self.highpass_kernel, self.hamming_highpass, 1)

    def _reassembled(self, x: Tensor, logits: Tensor, kernel: int, window: Tensor, scale: int) -> Tensor:
        """X (B, D, H, W) reassembled by the softmax of logits (B, k², sH, sW), times a window, over its sum."""
        if self.hamming_window:
            # Times a window and over the sum is a softmax of logits plus the window's logarithm.
            logits = logits + window.to(coordinate_dtype(window)).log().view(1, -1, 1, 1)
        return reassemble(x, logits, kernel, scale=scale, normalize="softmax", backend=self.backend)


class _Resampler(nn.Module):
    """Where the upsampled feature is read again."""

    init_pos: Tensor

    def __init__(self, inside: int, kernel: int, groups: int, direction_feat: str, *, normed: bool) -> None:
        super().__init__()
        if direction_feat not in DIRECTIONS:
            expected = " or ".join(map(repr, DIRECTIONS))
            raise Unsupported(f"no direction_feat {direction_feat!r}; expected {expected}")
        self.concatenates = direction_feat == "sim_concat"
        of_offsets = inside + NEIGHBOURS if self.concatenates else NEIGHBOURS
        of_scopes = inside + NEIGHBOURS if self.concatenates else inside
        reach = kernel // 2
        self.offset = nn.Conv2d(of_offsets, 8 * groups, kernel, padding=reach)
        self.direct_scale = nn.Conv2d(of_scopes, 8 * groups, kernel, padding=reach)
        self.hr_offset = nn.Conv2d(of_offsets, 2 * groups, kernel, padding=reach)
        self.hr_direct_scale = nn.Conv2d(of_scopes, 2 * groups, kernel, padding=reach)
        self.norm_hr = self.norm_lr = None
        if normed:
            require_divisible(inside, NORM_CHANNELS, "the channels of a group of freqfusion's norms")
            self.norm_hr = nn.GroupNorm(inside // NORM_CHANNELS, inside)
            self.norm_lr = nn.GroupNorm(inside // NORM_CHANNELS, inside)
        self.register_buffer("init_pos", torch.empty(1, 8 * groups, 1, 1))

    def set_initial_positions(self) -> None:
        """The points of bilinear interpolation."""
        self.init_pos.copy_(bilinear_positions(2, self.init_pos.shape[1] // 8))

    def forward(self, low: Tensor, high: Tensor, backend: str) -> Tensor:
        """How far from its own place each output pixel reads the upsampled feature, in input pixels.

        Args:
            low, high: the compressed features (B, m, H, W) and (B, m, 2H, 2W).
            backend: as in `upsamplers.create`.

        Returns:
            (B, 2Z, 2H, 2W), at least in float32.
        """
        if self.norm_lr is not None and self.norm_hr is not None:
            low = group_norm(low, self.norm_lr, backend=backend)
            high = group_norm(high, self.norm_hr, backend=backend)
        offsets, scopes = (
            of_low + pixel_unshuffle(of_high, 2)
            for of_low, of_high in zip(
                self._predicted(low, self.offset, self.direct_scale),
                self._predicted(high, self.hr_offset, self.hr_direct_scale),
                strict=True,
            )
        )
        # `init_pos` adds nothing: what is read was upsampled, so that its pixels lie at these positions already.
        return pixel_shuffle(displacement(offsets.to(coordinate_dtype(offsets)), scopes, None, 1.0), 2)

    def _predicted(self, feature: Tensor, offset: nn.Conv2d, scope: nn.Conv2d) -> tuple[Tensor, Tensor]:
        """Offsets and scopes, before their sigmoid, of a compressed feature."""
        similarity = _similarities(feature).to(feature.dtype)
        if not self.concatenates:
            return offset(similarity), scope(feature)
        both = torch.cat((feature, similarity), dim=1)
        return offset(both), scope(both)


def _similarities(feature: Tensor) -> Tensor:
    """Cosines of each pixel (B, m, H, W) and its 8 neighbours two pixels away, zero outside: (B, 8, H, W)."""
    height, width = feature.shape[2:]
    # In float32: a square of 1e-8 is zero in half precision. Clamped before the root, whose slope is infinite at 0.
    wide = feature.to(coordinate_dtype(feature))
    unit = wide / wide.square().sum(1, keepdim=True).clamp_min(LEAST_NORM**2).sqrt()
    padded = F.pad(unit, (DILATION,) * 4)
    cosines = []
    for place in range(NEIGHBOURS + 1):
        down, across = DILATION * (place // 3), DILATION * (place % 3)
        if place != NEIGHBOURS // 2:
            neighbour = padded[:, :, down : down + height, across : across + width]
            cosines.append((unit * neighbour).sum(1, keepdim=True))
    return torch.cat(cosines, dim=1)
