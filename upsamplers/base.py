"""The operator contract, and the alphabet that every shape comment of this project is written in.

B batch, C channels, G guide channels, H x W input size, s scale, k kernel size, Z groups.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.errors import Unsupported


class Upsampler(nn.Module):
    """A feature upsampler: x (B, C, H, W) -> (B, C, sH, sW), guided by an encoder feature or not.

    A subclass writes `forward(x)`, or `forward(x, guide)` with `needs_guide = True` (and no default for `guide`).
    Its constructor takes the channels first and `scale` by keyword; a guided one takes `guide_channels` too.

    Attributes:
        channels: C, the channels of x and of the output.
        scale: s, a whole number.
    """

    needs_guide: ClassVar[bool] = False

    def __init__(self, channels: int, *, scale: int = 2) -> None:
        super().__init__()
        self.channels = channels
        self.scale = scale

    def make_guide(self, feature: Tensor) -> Tensor:
        """What this operator takes as its guide, made of an encoder feature (B, G, sH, sW); by default the feature.

        A host calls it outside any timed region.
        """
        return feature

    def upsample_to(self, x: Tensor, feature: Tensor) -> Tensor:
        """Upsamples x to exactly the size of an encoder feature: what a host calls for any operator.

        Args:
            x: (B, C, H, W).
            feature: (B, G, h, w) with s(H-1) < h <= sH, likewise w: an odd pyramid level (13 -> 25) is padded by
                replication for the operator, and the result cropped.

        Returns:
            (B, C, h, w).

        Raises:
            Unsupported: the feature is not within one input pixel of s times the size of x.
        """
        height, width = feature.shape[-2:]
        missing = (self.scale * x.shape[-2] - height, self.scale * x.shape[-1] - width)
        if not all(0 <= one < self.scale for one in missing):
            raise Unsupported(
                f"cannot bring x {tuple(x.shape)} beside a feature {tuple(feature.shape)}: at scale {self.scale} "
                f"the feature's sides must be up to {self.scale - 1} shorter than "
                f"{self.scale * x.shape[-2]} x {self.scale * x.shape[-1]}"
            )
        if not self.needs_guide:
            alone: Tensor = self(x)
            return alone[..., :height, :width]
        if any(missing):
            feature = F.pad(feature, (0, missing[1], 0, missing[0]), mode="replicate")
        out: Tensor = self(x, self.make_guide(feature))
        return out[..., :height, :width]

    def extra_repr(self) -> str:
        """The channels and the scale."""
        return f"{self.channels}, scale={self.scale}"


def require_features(x: Tensor, channels: int, what: str = "x") -> None:
    """Refuses what is not a feature (B, channels, H, W) of a floating dtype.

    Raises:
        Unsupported: naming what was found and what is accepted.
    """
    if x.dim() != 4 or x.shape[1] != channels or x.shape[2] < 1 or x.shape[3] < 1:
        raise Unsupported(f"{what} has shape {tuple(x.shape)}; expected (B, {channels}, H, W) with H, W >= 1")
    if not x.is_floating_point():
        raise Unsupported(f"{what} has dtype {x.dtype}; expected a floating one")


def require_guide(guide: Tensor, x: Tensor, channels: int, scale: int) -> None:
    """Refuses a guide that is no feature (B, channels, sH, sW) of x's dtype (but under autocast) beside x (B, C, H, W).

    Raises:
        Unsupported: naming both shapes and what is accepted.
    """
    expected = (x.shape[0], channels, scale * x.shape[2], scale * x.shape[3])
    if not isinstance(guide, Tensor):
        raise Unsupported(f"the guide is {guide!r}; expected a feature of shape {expected}")
    if tuple(guide.shape) != expected:
        raise Unsupported(
            f"the guide has shape {tuple(guide.shape)}; expected {expected} beside x {tuple(x.shape)} at scale {scale} "
            f"(`upsample_to` takes features of up to {scale - 1} fewer rows and columns)"
        )
    if guide.dtype != x.dtype and not _is_autocast(x.device.type):
        raise Unsupported(f"the guide has dtype {guide.dtype}; expected x's, {x.dtype}, but under autocast")


def _is_autocast(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def require_option(name: str, value: object, *, odd: bool = False, least: int = 1) -> None:
    """Refuses an option that is no whole number from the least, or an even one where it must have a middle.

    Raises:
        Unsupported: naming the option, what was found and what is accepted.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise Unsupported(f"{name} must be a whole number from {least}, not {value!r}")
    if odd and value % 2 == 0:
        raise Unsupported(f"{name} must be odd, not {value}")


def require_divisible(channels: int, by: int, why: str) -> None:
    """Refuses channels that cannot be cut into `by` equal parts.

    Raises:
        Unsupported: naming the channels, the divisor and why it is needed.
    """
    if isinstance(by, bool) or not isinstance(by, int) or by < 1:
        raise Unsupported(f"{channels} channels cannot be divided by {by!r}; expected a whole number from 1 ({why})")
    if channels % by:
        raise Unsupported(f"{channels} channels are not divisible by {by} ({why})")


def coordinate_dtype(x: Tensor) -> torch.dtype:
    """The dtype for coordinates beside x: never less than float32, whose steps stay far below a pixel."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32
