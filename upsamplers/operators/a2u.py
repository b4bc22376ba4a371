"""A2U: reassembly weights from second-order affinity within the encoder feature."""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_divisible, require_features, require_guide, require_values_to_norm
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional.average_pool import average_pool
from upsamplers.functional.filter_per_image import filter_per_image
from upsamplers.functional.group_norm import normalised_product
from upsamplers.functional.project import project
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
        require_values_to_norm(x, NORM_GROUPS, channels=self.guide_channels)
        logits = self.kernel_gen(guide, self.backend)
        return reassemble(x, logits, KERNEL, scale=self.scale, normalize="sigmoid-softmax", backend=self.backend)


class _KernelGenerator(nn.Module):
    """Logits, before their pixel shuffle, from an encoder feature (B, G, 2H, 2W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bnu, self.bnv = (_at("0", nn.GroupNorm(NORM_GROUPS, channels)) for _ in range(2))
        self.bconv_UP = _at("1", nn.Conv2d(channels, 4 * KERNEL**2, 1))
        self.bconv_U, self.bconv_V = (_at("1", nn.Conv2d(channels, 1, 1)) for _ in range(2))

    def forward(self, guide: Tensor, backend: str = "auto") -> Tensor:
        """(B, 36, H, W)."""
        pooled, mean = average_pool(guide, FILTER, backend=backend)  # (B, G, 6, 6), (B, G, 1, 1)
        filters = project(pooled, self.bconv_U, self.bconv_V, backend=backend)  # (B, 2, 6, 6)
        u, v = filter_per_image(guide, filters, backend=backend)  # (B, G, H, W) each
        affinity = self.product(u, v, backend) / guide.shape[1] ** 0.5
        return project(mean, self.bconv_UP, backend=backend) * affinity  # type: ignore[no-any-return]

    def product(self, u: Tensor, v: Tensor, backend: str) -> Tensor:
        """The inner product (B, 1, H, W) over the channels of u and v (B, G, H, W), each normalised and rectified."""
        (norm_u,), (norm_v,) = self.bnu, self.bnv
        are_norms = isinstance(norm_u, nn.GroupNorm) and isinstance(norm_v, nn.GroupNorm)
        if not are_norms or not is_plain(self.bnu, self.bnv):  # a hook may keep what the norm returns
            return (F.leaky_relu(self.bnu(u), SLOPE) * F.leaky_relu(self.bnv(v), SLOPE)).sum(1, keepdim=True)
        return normalised_product(u, v, norm_u, norm_v, SLOPE, backend=backend)  # type: ignore[arg-type]


def _at(name: str, layer: nn.Module) -> nn.Sequential:
    """The layer under the name that published checkpoints have for it."""
    return nn.Sequential(OrderedDict([(name, layer)]))
