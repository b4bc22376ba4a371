"""NAF: attention of the pixels of an image to the pixels of x around them, whatever x is."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import (
    require_divisible,
    require_features,
    require_guide_of_any_size,
    require_option,
    require_size,
)
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional._torch.recomputation import recomputed
from upsamplers.functional.average_pool import pool_to
from upsamplers.functional.neighbourhood_attention import neighbourhood_attention
from upsamplers.registry import register

NORM_GROUPS = 8
LONGEST_PERIOD = 100  # from 1 on; the image's sides are 2 long
STRETCH = math.log(2)
# An image with a side more than this many times the output's is made smaller first.
LARGEST_IMAGE = 4


@register("naf", paper="Chambon et al., CVPR 2026", year=2026)
class NAF(Upsampler):
    """Neighbourhood attention filtering (CVPR 2026).

    An image is encoded pixel by pixel and by windows of 3 × 3, with rotary position embeddings. Each pixel attends to
    the k × k pixels of x around it, whose keys are the average of the queries inside them. No weight depends on x, so
    that one set of weights serves features of any backbone and any number of channels.

    In training a block of the encoders is computed again for its gradient: of its six maps the first is kept. Blocks
    with hooks or parametrisations are not.

    Args:
        channels: C, a multiple of the heads.
        scale: s.
        guide_channels: G of the image; 3 by default.
        embedding_channels: E of queries and keys; a multiple of 16 and of 4 · heads.
        heads: N.
        up_kernel: k, the side of the window; odd. x has at least as many rows and columns.

    Raises:
        Unsupported: the channels do not fit, or an option does not.
    """

    needs_guide = guide_is_image = True
    backends = ("torch", "triton")
    least_size = 9

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        guide_channels: int | None = None,
        embedding_channels: int = 256,
        heads: int = 4,
        up_kernel: int = 9,
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        require_option("embedding_channels", embedding_channels)
        require_option("heads", heads)
        require_option("up_kernel", up_kernel, odd=True)
        require_divisible(embedding_channels, 2 * NORM_GROUPS, "the groups of the norms of two encoders")
        require_divisible(embedding_channels, 4 * heads, "pairs for rows and columns in each head")
        require_divisible(channels, heads, "the heads of the attention")
        self.heads, self.up_kernel, self.least_size = heads, up_kernel, up_kernel
        self.image_encoder = _ImageEncoder(self.guide_channels, embedding_channels, heads)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an image (B, G, h, w) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        require_guide_of_any_size(guide, x, self.guide_channels)
        require_size(x, self.least_size, "the window of naf")
        if min(guide.shape[2:]) < 2:
            raise Unsupported(f"naf: the guide is {tuple(guide.shape)}; expected sides of at least 2 pixels to reflect")
        height, width = x.shape[2:]
        query = self.image_encoder(guide, self.scale * height, self.scale * width)  # (B, E, sH, sW)
        key = pool_to(query, height, width)
        return neighbourhood_attention(
            query, key, x, self.up_kernel, heads=self.heads, scale=self.scale, backend=self.backend
        )


class _ImageEncoder(nn.Module):
    """The queries of an image: two encoders side by side, averaged to the output's size and turned by position."""

    def __init__(self, guide_channels: int, embedding_channels: int, heads: int) -> None:
        super().__init__()
        self.encoder = _encoder(guide_channels, embedding_channels // 2, 1)
        self.sem_encoder = _encoder(guide_channels, embedding_channels // 2, 3)
        self.rope = _RotaryPosition(embedding_channels, heads)

    def forward(self, image: Tensor, height: int, width: int) -> Tensor:
        """An image (B, G, h, w) -> (B, E, height, width)."""
        image = _limited(image, height, width)
        encoded = torch.cat([pool_to(part(image), height, width) for part in (self.encoder, self.sem_encoder)], dim=1)
        return self.rope(encoded)  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Two convolutions, each of the SiLU of a group norm."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(NORM_GROUPS, channels)
        self.conv1 = _convolution(channels, channels, kernel)
        self.norm2 = nn.GroupNorm(NORM_GROUPS, channels)
        self.conv2 = _convolution(channels, channels, kernel)

    def forward(self, z: Tensor) -> Tensor:
        """(B, E / 2, h, w) -> (B, E / 2, h, w)."""
        return recomputed(self._encode, z, layers=self.children())

    def _encode(self, z: Tensor) -> Tensor:
        z = self.conv1(F.silu(self.norm1(z)))
        z = F.silu(self.norm2(z))  # what is no longer needed is freed before the last convolution
        return self.conv2(z)  # type: ignore[no-any-return]


class _RotaryPosition(nn.Module):
    """Turns pairs of channels by angles that grow along rows, for half of them, and along columns, for the others."""

    periods: Tensor

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.register_buffer("periods", torch.empty(channels // heads // 4))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Periods that grow geometrically: 1, ..., below 100 of half an image's side."""
        count = len(self.periods)
        steps = torch.arange(count, dtype=torch.float64, device=self.periods.device) / count
        self.periods.copy_(LONGEST_PERIOD**steps)

    def forward(self, z: Tensor) -> Tensor:
        """(B, E, h, w) -> (B, E, h, w); in training positions are stretched by 1/2 to 2, drawn at each call."""
        angles = self._angles(z.shape[2], z.shape[3], coordinate_dtype(z))  # (D / 2, h, w) for D channels a head
        cos, sin = angles.cos().to(z.dtype), angles.sin().to(z.dtype)
        del angles
        first, second = z.unflatten(1, (self.heads, 2, -1)).unbind(2)  # (B, N, D / 2, h, w) each
        if torch.is_grad_enabled() or needs_plain_operations():
            return torch.stack((first * cos - second * sin, second * cos + first * sin), dim=2).flatten(1, 3)
        turned = z.new_empty(z.shape)
        first_turned, second_turned = turned.unflatten(1, (self.heads, 2, -1)).unbind(2)
        torch.mul(first, cos, out=first_turned).addcmul_(second, sin, value=-1)
        torch.mul(second, cos, out=second_turned).addcmul_(first, sin)
        return turned

    def _angles(self, height: int, width: int, dtype: torch.dtype) -> Tensor:
        periods = self.periods.to(dtype).unsqueeze(1) / (2 * math.pi)
        rows, columns = (_positions(side, periods) / periods for side in (height, width))  # (D / 4, side) each
        angles = torch.cat((rows.unsqueeze(2).expand(-1, -1, width), columns.unsqueeze(1).expand(-1, height, -1)))
        if self.training:
            angles = angles * torch.rand_like(periods[0]).mul_(2 * STRETCH).sub_(STRETCH).exp()
        return angles


def _positions(side: int, like: Tensor) -> Tensor:
    """The centres of pixels on a side that goes from -1 to 1: (side)."""
    return (torch.arange(side, dtype=like.dtype, device=like.device) + 0.5) / (side / 2) - 1


def _encoder(guide_channels: int, channels: int, kernel: int) -> nn.Sequential:
    first = _convolution(guide_channels, channels, kernel)
    return nn.Sequential(first, _Block(channels, kernel), _Block(channels, kernel))


def _convolution(inside: int, outside: int, kernel: int) -> nn.Conv2d:
    if kernel == 1:
        return nn.Conv2d(inside, outside, 1)
    return nn.Conv2d(inside, outside, kernel, padding=kernel // 2, padding_mode="reflect")


def _limited(image: Tensor, height: int, width: int) -> Tensor:
    """The image, made smaller where one side is above 4 times that of the output (height x width).

    As published, each side is then at most 4 times both sides of the output.
    """
    tall, wide = image.shape[2:]
    if tall <= LARGEST_IMAGE * height and wide <= LARGEST_IMAGE * width:
        return image
    most = LARGEST_IMAGE * min(height, width)
    return F.interpolate(image, size=(min(tall, most), min(wide, most)), mode="bilinear", align_corners=False)
