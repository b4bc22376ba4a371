"""What JAFAR and AnyUp are made of: image encoders, rotary position, and attention to the values themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import (
    require_divisible,
    require_features,
    require_guide_of_any_size,
    require_option,
    require_values_to_norm,
)
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional._torch.recomputation import recomputed
from upsamplers.functional.average_pool import pool_to
from upsamplers.functional.cross_attention import cross_attention

GROUPS = 8
# The longest wavelength of a position, in units of the shortest.
BASE = 100


class ImageAttention(Upsampler):
    """Queries from the pixels of an image, keys from the image averaged to x's size and from x: what the two share.

    A subclass writes `add_features`, adds `rope` and `cross_decode` as its last layers, and says which `block` is the
    residual block of its encoders, from its channels.
    """

    needs_guide = guide_is_image = True
    rope: RotaryPosition
    cross_decode: CrossDecoder

    def __init__(
        self,
        channels: int,
        scale: int,
        guide_channels: int | None,
        embedding_channels: int,
        heads: int,
        block: Callable[[int], nn.Module],
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        require_option("embedding_channels", embedding_channels)
        require_divisible(embedding_channels, GROUPS, "the groups of its norms")
        require_divisible(embedding_channels, heads, "the heads of its attention")
        self.embedding_channels = embedding_channels
        self.image_encoder = encoder(self.guide_channels, embedding_channels, block)
        self.key_encoder = encoder(embedding_channels, embedding_channels, block)
        self.query_encoder = encoder(embedding_channels, embedding_channels, block)

    def init_weights(self) -> None:
        """The frequencies of the rotary position."""
        self.rope.init_weights()

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an image (B, G, h, w) of any size -> (B, C, sH, sW)."""
        query, key = self.encode(x, guide)
        # Attention is called here, and not by the layers: their calls would hold what they were given until it ends.
        query = self.cross_decode(query)
        key = self.cross_decode(key, is_key=True)
        return cross_attention(query, key, x, heads=self.cross_decode.heads, window=self.cross_decode.window)

    def add_features(self, key: Tensor, x: Tensor) -> Tensor:
        """Keys of the image (B, E, H, W) with what x (B, C, H, W) says -> (B, E, H, W)."""
        raise NotImplementedError

    def encode(self, x: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, E, sH, sW) and keys (B, E, H, W) from an image (B, G, h, w) of any size."""
        require_features(x, self.channels)
        require_guide_of_any_size(guide, x, self.guide_channels)
        require_values_to_norm(guide, GROUPS, "the guide", self.embedding_channels)
        height, width = x.shape[2:]
        encoded = self.rope(self.image_encoder(guide))  # (B, E, h, w)
        key = self.add_features(pool_to(self.key_encoder(encoded), height, width), x)
        query = self.query_encoder(encoded)
        del encoded
        return pool_to(query, self.scale * height, self.scale * width), key


def unit(x: Tensor) -> Tensor:
    """X (B, C, H, W) over the length of each pixel's channels."""
    return F.normalize(x.to(coordinate_dtype(x)), dim=1).to(x.dtype)


def residual_layers(channels: int) -> list[nn.Module]:
    """Of a residual block's branch: twice group norm, SiLU and a 1x1 convolution without bias."""
    return [
        layer
        for _ in range(2)
        for layer in (nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, channels, 1, bias=False))
    ]


def residual(z: Tensor, branch: Callable[[Tensor], Tensor], layers: Iterable[nn.Module]) -> Tensor:
    """Z plus what a branch of these layers makes of it, all (B, E, h, w); backward keeps z alone."""
    return recomputed(lambda z: z + branch(z), z, layers=layers)


def encoder(inside: int, channels: int, block: Callable[[int], nn.Module]) -> nn.Sequential:
    """Pixel by pixel (B, inside, h, w) -> (B, E, h, w): a 1x1 convolution without bias and two residual blocks."""
    return nn.Sequential(nn.Conv2d(inside, channels, 1, bias=False), block(channels), block(channels))


class RotaryPosition(nn.Module):
    """Turns pairs of channels by angles that are linear in the pixel's place, with learned frequencies."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.freqs = nn.Parameter(torch.empty(2, channels))

    def init_weights(self) -> None:
        """The first half of the channels by rows, the second by columns, each with E/4 wavelengths twice."""
        count = self.freqs.shape[1] // 4
        steps = torch.arange(count, dtype=self.freqs.dtype, device=self.freqs.device)
        angles = 2 * torch.pi * BASE ** (-steps / (count - 1))
        with torch.no_grad():
            self.freqs.zero_()
            self.freqs[0, : 2 * count] = angles.repeat(2)
            self.freqs[1, 2 * count :] = angles.repeat(2)

    def forward(self, e: Tensor) -> Tensor:
        """(B, E, h, w) -> (B, E, h, w), with angles in float32 at least; backward keeps the input alone."""
        return recomputed(self._turned, e, self.freqs)

    def _turned(self, e: Tensor, freqs: Tensor) -> Tensor:
        dtype = coordinate_dtype(e)
        down, across = freqs.to(dtype).unsqueeze(2).unbind(0)  # (E, 1)
        rows, columns = (_places(side, e, dtype) for side in e.shape[2:])
        first, second = e.to(dtype).chunk(2, dim=1)
        below, beside = (down * rows).chunk(2), (across * columns).chunk(2)  # (E/2, h) and (E/2, w) each
        halves = []
        for half, (own, other) in enumerate(((first, -second), (second, first))):
            angles = below[half].unsqueeze(2) + beside[half].unsqueeze(1)  # (E/2, h, w)
            halves.append(torch.addcmul(other * angles.sin(), own, angles.cos()))
        return torch.cat(halves, dim=1).to(e.dtype)


def _places(side: int, e: Tensor, dtype: torch.dtype) -> Tensor:
    """As many places from 0 to 1, both included; a single one is 0."""
    steps = torch.arange(side, dtype=dtype, device=e.device)
    return steps / steps[-1:].clamp_min(1)


class CrossDecoder(nn.Module):
    """The last layers before attention: a convolution of the queries, then a norm and a projection of both.

    Args:
        channels: E, of queries and keys.
        heads: divides E.
        values: channels of the values that checkpoints hold a projection for; it is not used.
        is_normed: whether the queries have a group norm first, and checkpoints hold a norm of the values too.
        window: of `cross_attention`.
    """

    def __init__(self, channels: int, heads: int, values: int, *, is_normed: bool, window: float) -> None:
        super().__init__()
        self.cross_attn = _Projections(channels, heads, values, has_value_norm=is_normed)
        self.conv2d = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.heads, self.window, self.is_normed = heads, window, is_normed

    def forward(self, one: Tensor, is_key: bool = False) -> Tensor:
        """Queries or keys (B, E, h, w) -> (B, E, h, w)."""
        if not is_key:
            one = self.conv2d(F.group_norm(one, GROUPS) if self.is_normed else one)
        return self.cross_attn(one, is_key)  # type: ignore[no-any-return]


class _Projections(nn.Module):
    def __init__(self, channels: int, heads: int, values: int, *, has_value_norm: bool) -> None:
        super().__init__()
        self.norm_q, self.norm_k = nn.RMSNorm(channels), nn.RMSNorm(channels)
        if has_value_norm:
            self.norm_v = nn.RMSNorm(values).requires_grad_(False)
        self.attention = _Projection(channels, heads, values)

    def forward(self, one: Tensor, is_key: bool) -> Tensor:
        norm = self.norm_k if is_key else self.norm_q
        return self.attention(norm(one.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), is_key)  # type: ignore[no-any-return]


class _Projection(nn.MultiheadAttention):
    """The projections of queries and of keys; those of values and output are held for checkpoints alone."""

    def __init__(self, channels: int, heads: int, values: int) -> None:
        super().__init__(channels, heads, kdim=channels, vdim=values)
        self.out_proj.requires_grad_(False)
        if self.v_proj_weight is not None:
            self.v_proj_weight.requires_grad_(False)

    def reset_parameters(self) -> None:
        """As torch's constructor does."""
        self.out_proj.reset_parameters()
        self._reset_parameters()

    def forward(self, one: Tensor, is_key: bool) -> Tensor:  # type: ignore[override]
        if self.in_proj_weight is None:
            weight = self.k_proj_weight if is_key else self.q_proj_weight
        else:
            weight = self.in_proj_weight.chunk(3)[is_key]
        return F.conv2d(one, weight[:, :, None, None], self.in_proj_bias.chunk(3)[is_key])
