"""ReSFU: kernels from scored differences between the guide and its smoothed, semantic copies."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import (
    require_divisible,
    require_features,
    require_guide,
    require_option,
    require_values_to_norm,
)
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.precision import coordinate_dtype, without_autocast
from upsamplers.functional.backend import uses_triton
from upsamplers.functional.group_norm import group_norm
from upsamplers.functional.interpolate_bilinear import interpolate_bilinear
from upsamplers.functional.reassemble import reassemble
from upsamplers.registry import register

KERNEL, WINDOW = 3, 5
SCORE_CHANNELS, SCORE_GROUPS, NORM_GROUPS = 128, 8, 32
# Of the guided filter: below this variance the guide counts as flat.
EPSILON = 0.001


@register("resfu", paper="Zhou et al., TNNLS 2025", year=2025)
class ReSFU(Upsampler):
    """Refreshed Similarity-based Feature Upsampling (TNNLS 2025, section IV).

    Queries are projected from the guide and keys from x. Two pairs of maps are scored in 3 x 3 windows of pixels s
    apart: the keys with the queries that a guided filter brought close to them, and the blurred queries with the
    queries. The softmax over a window weighs x, read bilinearly at fine-grained places: the input pixels around,
    shifted as the output pixel lies within its own.

    Args:
        channels: C; from 32 on a multiple of 32.
        scale: s.
        guide_channels: G; C by default; from 32 on a multiple of 32.
        embedding_channels: d, of queries and keys; a multiple of 8 and of the groups.
        groups: Z, of the scores' convolutions; divides 128.
        radius: of the guided filter's window, in output pixels.
        subsample: t; the filter's coefficients are taken from every t-th row and column.

    Raises:
        Unsupported: the channels do not fit, or an option does not.
    """

    needs_guide = True
    backends = ("torch", "triton")

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        guide_channels: int | None = None,
        embedding_channels: int = 32,
        groups: int = 4,
        radius: int = 8,
        subsample: int = 2,
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        for name, value in (("embedding_channels", embedding_channels), ("radius", radius), ("subsample", subsample)):
            require_option(name, value)
        require_divisible(embedding_channels, SCORE_GROUPS, "the groups of the norms of ReSFU's pairs")
        require_divisible(embedding_channels, groups, "the groups of ReSFU's scores")
        require_divisible(SCORE_CHANNELS, groups, "the groups of ReSFU's scores")
        self.norm_x = _norm(channels, "the groups of ReSFU's norm of x")
        self.norm_y = _norm(self.guide_channels, "the groups of ReSFU's norm of the guide")
        self.q = nn.Conv2d(self.guide_channels, embedding_channels, 1)
        self.k = nn.Conv2d(channels, embedding_channels, 1)
        self.GF = _GuidedFilter(embedding_channels, radius, subsample)
        self.semantic_scores = _Scores(embedding_channels, groups, scale)
        self.detail_scores = _Scores(embedding_channels, groups, scale)
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions from a normal distribution without biases, the scores' kernels from Kaiming's."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for scores in (self.semantic_scores, self.detail_scores):
            nn.init.kaiming_normal_(scores.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(scores.bias)
        self.GF.kernel.fill_(1)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, sH, sW) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        self._require_sizes(x, guide)
        weights = self.weights(x, guide)
        if needs_plain_operations() and not uses_triton(self.backend, x, weights, kernel=WINDOW, scale=self.scale):
            return _shifted_reads(x, weights, self.scale)
        weights = _window_weights(weights, self.scale)
        return reassemble(x, weights, WINDOW, scale=self.scale, backend=self.backend)

    def _require_sizes(self, x: Tensor, guide: Tensor) -> None:
        require_values_to_norm(x, self.norm_x.num_groups)
        require_values_to_norm(guide, self.norm_y.num_groups, "the guide")
        if min(guide.shape[2:]) < self.GF.subsample:
            raise Unsupported(
                f"resfu: the guide is {tuple(guide.shape)}; expected sides of at least {self.GF.subsample} pixels, of "
                f"which the guided filter takes one in {self.GF.subsample}"
            )

    def weights(self, x: Tensor, guide: Tensor) -> Tensor:
        """Weights (B, 9, sH, sW) of the places around each output pixel, s apart, row by row; they sum to one."""
        query = self.q(group_norm(guide, self.norm_y, backend=self.backend))  # (B, d, sH, sW)
        key = self.k(group_norm(x, self.norm_x, backend=self.backend))
        key = interpolate_bilinear(key, self.scale, backend=self.backend)
        scores = self.semantic_scores(key, self.GF(query, key), self.backend)
        del key
        scores = scores + self.detail_scores(_blurred(query), query, self.backend)
        outside = _outside(scores, self.scale)
        return scores.masked_fill(outside, -torch.inf).softmax(1)  # type: ignore[no-any-return]


class _GuidedFilter(nn.Module):
    """The fast guided filter (He et al., 2015): in each window linear in the guidance, and nearest to the source."""

    kernel: Tensor

    def __init__(self, channels: int, radius: int, subsample: int) -> None:
        super().__init__()
        self.subsample, self.radius = subsample, radius // subsample
        # Held by checkpoints: the window of a box, whose mean over the pixels inside the image is a pool.
        self.register_buffer("kernel", torch.ones(channels, 1, 1, 2 * self.radius + 1))

    def forward(self, guidance: Tensor, source: Tensor) -> Tensor:
        """Guidance and source (B, d, sH, sW) -> (B, d, sH, sW), computed in float32 at least."""
        dtype, size, step = coordinate_dtype(guidance), guidance.shape[2:], self.subsample
        tall, wide = (side // step * step for side in size)
        low, target = (image[:, :, :tall:step, :wide:step].to(dtype) for image in (guidance, source))
        means = self._box(torch.cat((low, target, low * target, low * low), dim=1))
        mean, target_mean, product_mean, square_mean = means.chunk(4, dim=1)
        slope = (product_mean - mean * target_mean) / (square_mean - mean * mean + EPSILON)
        slope, offset = self._box(torch.cat((slope, target_mean - slope * mean), dim=1)).chunk(2, dim=1)
        if step > 1:
            slope, offset = (F.interpolate(one, size=size, mode="bilinear") for one in (slope, offset))
        return torch.addcmul(offset, slope, guidance.to(dtype)).to(guidance.dtype)

    def _box(self, image: Tensor) -> Tensor:
        """The mean over the pixels of the window that lie inside."""
        inside = torch.ones_like(image[:1, :1])
        for dim in (2, 3):
            image, inside = (_window_sums(one, self.radius, dim) for one in (image, inside))
        return image / inside


def _window_sums(image: Tensor, reach: int, dim: int) -> Tensor:
    """Sums over windows of 2 · reach + 1 pixels along a dimension, zero beyond; by sums of 2, 4, 8, ... pixels.

    torch's pools add each window by itself, which takes ten times as long on a CPU.
    """
    length, side = image.shape[dim], 2 * reach + 1
    runs = F.pad(image, (0, 0, reach, reach) if dim == 2 else (reach, reach))  # sums of `run` pixels
    total, first, run = None, 0, 1
    while run <= side:
        if side & run:
            part = runs.narrow(dim, first, length)
            total, first = part if total is None else total + part, first + run
        if 2 * run <= side:
            count = runs.shape[dim] - run
            runs = runs.narrow(dim, 0, count) + runs.narrow(dim, run, count)
        run *= 2
    assert total is not None
    return total


class _Scores(nn.Module):
    """Scores of the pixels around each pixel, from differences of two maps."""

    def __init__(self, channels: int, groups: int, scale: int) -> None:
        super().__init__()
        self.groups, self.scale = groups, scale
        self.weight = nn.Parameter(torch.empty(SCORE_CHANNELS, channels // groups, KERNEL, KERNEL))
        self.bias = nn.Parameter(torch.empty(1, SCORE_CHANNELS, 1, 1))
        self.norm = nn.GroupNorm(SCORE_GROUPS, channels)
        self.channel_compressor = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(SCORE_CHANNELS, SCORE_CHANNELS, 1, groups=groups),
            nn.ReLU(),
            nn.GroupNorm(SCORE_GROUPS, SCORE_CHANNELS),
            nn.Conv2d(SCORE_CHANNELS, KERNEL**2, 1),
        )

    def forward(self, around: Tensor, middle: Tensor, backend: str) -> Tensor:
        """Maps looked at around and in the middle of a window, (B, d, sH, sW) each -> scores (B, 9, sH, sW)."""
        around = _replicated(group_norm(around, self.norm, backend=backend), self.scale)
        middle = group_norm(middle, self.norm, backend=backend)
        scores = F.conv2d(middle, -self.weight.sum((2, 3), keepdim=True), groups=self.groups)
        scores += F.conv2d(around, self.weight, self.bias.flatten(), dilation=self.scale, groups=self.groups)
        return self.channel_compressor(scores)  # type: ignore[no-any-return]


def _norm(channels: int, why: str) -> nn.GroupNorm:
    if channels >= NORM_GROUPS:
        require_divisible(channels, NORM_GROUPS, why)
    return nn.GroupNorm(min(channels, NORM_GROUPS), channels)


def _replicated(image: Tensor, border: int) -> Tensor:
    """An image (B, C, H, W) with its border pixels repeated; by copies, whose gradient is added in one order."""
    for dim in (2, 3):
        first, last = image.narrow(dim, 0, 1), image.narrow(dim, image.shape[dim] - 1, 1)
        image = torch.cat((*[first] * border, image, *[last] * border), dim=dim)
    return image


def _blurred(query: Tensor) -> Tensor:
    """Blurred by the 3 x 3 Gaussian of deviation 1, border pixels repeated; in float32 at least."""
    wide = query.to(coordinate_dtype(query))
    steps = torch.arange(-1, 2, dtype=wide.dtype, device=wide.device).abs()  # as their squares
    gaussian = (-(steps.unsqueeze(1) + steps) / 2).flatten().softmax(0).view(1, 1, KERNEL, KERNEL)
    with without_autocast(query):
        blurred = F.conv2d(_replicated(wide, 1), gaussian.expand(wide.shape[1], -1, -1, -1), groups=wide.shape[1])
    return blurred.to(query.dtype)


def _outside(scores: Tensor, scale: int) -> Tensor:
    """Which places lie outside the output, (9, sH, sW), for scores (B, 9, sH, sW)."""
    steps = torch.arange(-scale, scale + 1, scale, device=scores.device).view(-1, 1)
    beyond = []
    for length in scores.shape[2:]:
        places = torch.arange(length, device=scores.device) + steps  # (3, length)
        beyond.append((places < 0) | (places >= length))
    return (beyond[0].view(3, 1, -1, 1) | beyond[1].view(1, 3, 1, -1)).flatten(0, 1)


def _shifted_reads(x: Tensor, weights: Tensor, scale: int) -> Tensor:
    """Σ weights · x, read bilinearly at each of the nine places: as published, for programs of any size.

    Such a read is x upsampled bilinearly, shifted by whole input pixels. A compiler makes one of the nine.
    """
    tall, wide = weights.shape[2:]
    out: Tensor | None = None
    for place in range(KERNEL**2):
        down, across = scale * (place // KERNEL), scale * (place % KERNEL)
        read = F.pad(interpolate_bilinear(x, scale, backend="torch"), (scale,) * 4)
        term = read[:, :, down : down + tall, across : across + wide] * weights[:, place : place + 1].to(x.dtype)
        out = term if out is None else out + term
    assert out is not None
    return out


def _window_weights(weights: Tensor, scale: int) -> Tensor:
    """Weights of bilinear reads (B, 9, sH, sW) as those of pixels of x in a 5 x 5 window (B, 25, sH, sW).

    The nine reads of an output pixel lie on one window of 4 x 4 pixels of x. Along each axis apart, a read at a step of
    -1, 0 or 1 gives its weight to two pixels; what lies beyond the border of x goes to the border pixel.
    """
    places = weights.unflatten(1, (KERNEL, KERNEL))  # (B, 3, 3, sH, sW)
    down, across = (_shares(length, scale, weights) for length in weights.shape[2:])  # (3, 5, sH), (3, 5, sW)
    rows = [
        step.unsqueeze(1) * share.view(WINDOW, 1, -1, 1) for step, share in zip(places.unbind(1), down, strict=True)
    ]
    window = rows[0] + rows[1] + rows[2]  # (B, 5, 3, sH, sW)
    columns = [
        step.unsqueeze(2) * share.view(WINDOW, 1, -1) for step, share in zip(window.unbind(2), across, strict=True)
    ]
    combined: Tensor = columns[0] + columns[1] + columns[2]
    return combined.flatten(1, 2)


def _shares(length: int, scale: int, like: Tensor) -> Tensor:
    """What reads at a step of -1, 0 and 1 take of the five pixels around, along one axis: (3, 5, length)."""
    own = torch.arange(length, device=like.device).div(scale, rounding_mode="floor")  # (length): input pixels
    dtype = coordinate_dtype(like)
    centre = (torch.arange(length, dtype=dtype, device=like.device) + 0.5) / scale - 0.5
    steps = torch.arange(-1, 2, dtype=dtype, device=like.device).view(-1, 1, 1)
    pixels = own + torch.arange(-2, 3, device=like.device).view(-1, 1)  # (5, length)
    shares: Tensor = (1 - ((centre + steps).clamp(0, length // scale - 1) - pixels).abs()).clamp_min(0)
    return shares
