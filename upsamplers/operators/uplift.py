"""UPLiFT: x doubled again and again, by attention to a few pixels around, as features of an image say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import (
    POWERS_OF_TWO,
    is_autocast,
    require_features,
    require_guide_of_any_size,
    require_option,
    require_stages,
)
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.portable_windows import shifted_copies
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional.reassemble import reassemble
from upsamplers.registry import register

# The places of the taps in a window, row by row: the side of the window, and which of its places.
SHAPES = {
    5: (3, "010 111 010"),
    9: (3, "111 111 111"),
    13: (5, "00100 01110 11111 01110 00100"),
    17: (5, "10101 01110 11111 01110 10101"),
    25: (5, "11111 11111 11111 11111 11111"),
}


@register("uplift", scales=POWERS_OF_TWO, paper="Walmer et al., CVPR 2026", year=2026)
class UPLiFT(Upsampler):
    """Iterated upsampling by local attenders (UPLiFT, CVPR 2026).

    Each of log2(s) steps, which share all weights, doubles x: a decoder of x and of two features of the image predicts
    weights of the pixels around, whose weighted sum is the output. The image is encoded once.

    Args:
        channels: C.
        scale: s, a power of two from 2 on.
        guide_channels: G of the image; 3 by default.
        encoder_channels: of the five blocks of the image's encoder, the last two of which the decoder reads.
        decoder_channels: D.
        taps: pixels that are weighed: 5, 9, 13, 17 or 25 of the 3 × 3 or 5 × 5 around.

    Raises:
        Unsupported: the scale is no power of two, or an option does not fit.
    """

    needs_guide = guide_is_image = True

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        guide_channels: int | None = None,
        encoder_channels: Sequence[int] = (16, 32, 64, 128, 128),
        decoder_channels: int = 64,
        taps: int = 17,
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        self.count = require_stages("uplift", scale)
        if not isinstance(encoder_channels, Sequence) or len(encoder_channels) != 5:
            raise Unsupported(f"encoder_channels must be five positive integers, not {encoder_channels!r}")
        for width in encoder_channels:
            require_option("each of encoder_channels", width)
        require_option("decoder_channels", decoder_channels)
        if taps not in SHAPES:
            raise Unsupported(f"taps must be {', '.join(map(str, SHAPES))}, not {taps!r}")
        self.kernel, shape = SHAPES[taps]
        self.places = [place for place, drawn in enumerate(shape.replace(" ", "")) if drawn == "1"]
        self.encoder = _Encoder(self.guide_channels, encoder_channels)
        self.decoder = _Decoder(channels, encoder_channels, decoder_channels)
        self.attender = _Attender(decoder_channels, taps)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an image (B, G, h, w) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        require_guide_of_any_size(guide, x, self.guide_channels)
        norms = (module for module in self.modules() if isinstance(module, nn.BatchNorm2d))
        for what, image in (("x", x), ("the guide", guide)):
            if image.numel() == image.shape[1] and any(norm.training for norm in norms):
                raise Unsupported(f"uplift: batch norm cannot be trained on a single value; {what} has 1 pixel")
        v = x
        if is_autocast(x):  # sums along the blocks in float32, whatever their convolutions answer in
            v, guide = x.to(coordinate_dtype(x)), guide.to(coordinate_dtype(x))
        features = self.encoder(guide)
        for stage in range(self.count):
            weights = self.attender(self.decoder(v, *features)).softmax(1)
            if stage == self.count - 1:
                del features  # the last sum needs the most memory
            v = self._doubled(v, weights)
        return v.to(x.dtype)

    def _doubled(self, v: Tensor, weights: Tensor) -> Tensor:
        """Σ weights · v over the taps, border pixels repeated: (B, C, h, w), (B, taps, 2h, 2w) -> (B, C, 2h, 2w)."""
        weights = weights.to(v.dtype)
        if needs_plain_operations():
            shifted = list(shifted_copies(v, self.kernel, 2, "replication"))
            terms = [shifted[place] * weights[:, tap : tap + 1] for tap, place in enumerate(self.places)]
            return torch.stack(terms).sum(0)
        window = [torch.zeros_like(weights[:, :1])] * self.kernel**2
        for tap, place in enumerate(self.places):
            window[place] = weights[:, tap : tap + 1]
        return reassemble(v, torch.cat(window, dim=1), self.kernel, border="replication")


class _Encoder(nn.Module):
    """Five blocks at the image's size."""

    def __init__(self, guide_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        for index, (inside, outside) in enumerate(zip((guide_channels, *widths), widths, strict=False)):
            self.add_module(f"block_{index}", _Blocks(inside, outside, convolutions=1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """An image (B, G, h, w) -> what the last and the last but one make of it."""
        *others, last = self.children()
        feature = image
        for block in others:
            feature = block(feature)
        return last(feature), feature


class _Decoder(nn.Module):
    """What weights are made of: x and a feature of the image, doubled, and another feature."""

    def __init__(self, channels: int, widths: Sequence[int], inside: int) -> None:
        super().__init__()
        self.block_0 = _Blocks(channels + widths[4], inside, convolutions=2)
        self.up_1 = _Doubling(inside)
        self.block_1 = _Blocks(inside + widths[3], inside, convolutions=2)

    def forward(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """X (B, C, h, w) and two features of an image, of any size -> (B, D, 2h, 2w)."""
        return self.block_1(_beside(self.up_1(self.block_0(_beside(x, low))), high))  # type: ignore[no-any-return]


class _Doubling(nn.Module):
    """A transposed convolution, and bilinear interpolation beside it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels, 2, stride=2)

    def forward(self, u: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D, 2h, 2w)."""
        return self.up(u) + F.interpolate(u, scale_factor=2.0, mode="bilinear", align_corners=True)  # type: ignore[no-any-return]


class _Attender(nn.Module):
    """Logits of the taps."""

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, taps, 1)

    def forward(self, u: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, taps, h, w)."""
        return _plus_first(self.conv1(u), u)


class _Blocks(nn.Module):
    """One residual block, under the name that checkpoints have for it."""

    def __init__(self, inside: int, outside: int, *, convolutions: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(_Block(inside, outside, convolutions))

    def forward(self, feature: Tensor) -> Tensor:
        """(B, a, h, w) -> (B, b, h, w)."""
        return self.blocks(feature)  # type: ignore[no-any-return]


class _Block(nn.Module):
    """One or two 3 × 3 convolutions with batch norm and ReLU, and a 1 × 1 one; the input's first channels are added."""

    def __init__(self, inside: int, outside: int, convolutions: int) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        for width in (inside, outside)[:convolutions]:
            self.conv.append(nn.Conv2d(width, outside, 3, padding=1, bias=False))
            self.conv.append(nn.BatchNorm2d(outside))
            self.conv.append(nn.ReLU())
        self.conv.append(nn.Conv2d(outside, outside, 1))

    def forward(self, feature: Tensor) -> Tensor:
        """(B, a, h, w) -> (B, b, h, w)."""
        return _plus_first(self.conv(feature), feature)


def _plus_first(out: Tensor, feature: Tensor) -> Tensor:
    """Out (B, b, h, w) plus the first channels of a feature (B, a, h, w): as many as both have."""
    count = min(out.shape[1], feature.shape[1])
    if count == out.shape[1]:
        return out + feature[:, :count]
    return torch.cat((out[:, :count] + feature[:, :count], out[:, count:]), dim=1)


def _beside(x: Tensor, feature: Tensor) -> Tensor:
    """X (B, C, h, w) and a feature of an image, resized to x's size by nearest, concatenated."""
    if feature.shape[2:] != x.shape[2:]:
        feature = F.interpolate(feature, size=x.shape[2:], mode="nearest")
    return torch.cat((x, feature), dim=1)
