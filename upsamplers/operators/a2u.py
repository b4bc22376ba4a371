"""A2U: reassembly weights from second-order affinity within the encoder feature."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_divisible, require_features, require_guide
from upsamplers.errors import Unsupported
from upsamplers.functional.filter_per_image import filter_per_image
from upsamplers.functional.reassemble import reassemble
from upsamplers.registry import register

KERNEL, NORM_GROUPS, SLOPE = 3, 32, 0.01
FILTER = 6


@register("a2u", scales=(2,), paper="Dai et al., CVPR 2021", year=2021)
class A2U(Upsampler):
    """Affinity-Aware Upsampling, dynamic, channel-shared and spatially varying (CVPR 2021, section 4; "dynamic-cs-d†").

    Two filters of 6 x 6, predicted from the encoder feature for each image, run over all its channels with stride 2;
    the inner product of what they give, spread over the sub-pixels and taps, becomes the reassembly weights.

    Args:
        channels: C.
        scale: 2.
        guide_channels: G, a multiple of 32; C by default.

    Raises:
        Unsupported: the scale is not 2, or G is not a multiple of 32.
    """

    needs_guide = True

    backends = ("torch", "triton")

    def __init__(self, channels: int, *, scale: int = 2, guide_channels: int | None = None) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        if scale != 2:
            raise Unsupported(f"a2u upsamples by 2 only, not by {scale}: its filters have stride 2")
        require_divisible(self.guide_channels, NORM_GROUPS, "the groups of A2U's norms")
        self.kernel_gen = _KernelGenerator(self.guide_channels)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, 2H, 2W) -> (B, C, 2H, 2W)."""
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        self.require_norms(x)
        return reassemble(x, self.weights(guide), KERNEL, scale=self.scale)

    def require_norms(self, x: Tensor) -> None:
        """Refuses x (B, C, H, W) so small that a group of the norms of its guide has only one value.

        Raises:
            Unsupported: naming x.
        """
        if self.guide_channels * x.shape[2] * x.shape[3] == NORM_GROUPS:
            raise Unsupported(f"a2u: x is {tuple(x.shape)}; group norm needs more than one value per group")

    def weights(self, guide: Tensor) -> Tensor:
        """The reassembly weights (B, 9, 2H, 2W) of an encoder feature (B, G, 2H, 2W); they sum to one."""
        logits: Tensor = self.kernel_gen(guide)
        return logits.sigmoid().softmax(1)


class _KernelGenerator(nn.Module):
    """Logits from an encoder feature (B, G, 2H, 2W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bnu, self.bnv = (_at("0", nn.GroupNorm(NORM_GROUPS, channels)) for _ in range(2))
        self.bconv_UP = _at("1", nn.Conv2d(channels, 4 * KERNEL**2, 1))
        self.bconv_U, self.bconv_V = (_at("1", nn.Conv2d(channels, 1, 1)) for _ in range(2))

    def forward(self, guide: Tensor) -> Tensor:
        """(B, 9, 2H, 2W)."""
        return F.pixel_shuffle(self.logits(guide), 2)

    def logits(self, guide: Tensor) -> Tensor:
        """The same before their pixel shuffle, (B, 36, H, W)."""
        pooled = _pooled(guide)  # (B, G, 6, 6)
        u, v = filter_per_image(guide, torch.cat((self.bconv_U(pooled), self.bconv_V(pooled)), 1))  # (B, G, H, W) each
        u = F.leaky_relu(self.bnu(u), SLOPE, inplace=True)
        v = F.leaky_relu(self.bnv(v), SLOPE, inplace=True)
        affinity = (u * v).sum(1, keepdim=True) / guide.shape[1] ** 0.5  # (B, 1, H, W)
        spread = self.bconv_UP(guide.mean((2, 3), keepdim=True))  # (B, 36, 1, 1)
        return spread * affinity  # type: ignore[no-any-return]


def _at(name: str, layer: nn.Module) -> nn.Sequential:
    """The layer under the name that published checkpoints have for it."""
    return nn.Sequential(OrderedDict([(name, layer)]))


def _pooled(y: Tensor) -> Tensor:
    """The 6 x 6 adaptive average pool of y (B, G, h, w)."""
    if torch.compiler.is_compiling():  # exporters have no such pool for sizes that they do not know
        return _averages(y.shape[2], y) @ y @ _averages(y.shape[3], y).mT
    return F.adaptive_avg_pool2d(y, FILTER)


def _averages(size: int, like: Tensor) -> Tensor:
    """A matrix (6, size) that averages: row i is 1/n on the n places from floor(i·size/6) to ceil((i+1)·size/6)."""
    index = torch.arange(size, device=like.device)
    row = torch.arange(FILTER, device=like.device).unsqueeze(1)
    first, end = row * size // FILTER, ((row + 1) * size + FILTER - 1) // FILTER  # (6, 1) each
    inside = ((index >= first) & (index < end)).to(like.dtype)
    return inside / (end - first)
