"""SAPA: reassembly weights from the similarity of the encoder's pixel to the decoder's pixels around it."""

from __future__ import annotations

from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import (
    require_divisible,
    require_features,
    require_guide,
    require_option,
    require_values_to_norm,
)
from upsamplers.functional.local_affinity import local_affinity
from upsamplers.functional.project import project
from upsamplers.functional.reassemble import reassemble
from upsamplers.registry import register

NORM_GROUPS = 32


@register("sapa-b", paper="Lu et al., NeurIPS 2022", year=2022)
class Sapa(Upsampler):
    """Similarity-Aware Point Affiliation, its base variant (NeurIPS 2022, section 3.2; bilinear similarity).

    Queries are projected from the normalised encoder feature, keys from the normalised x; the softmax over their local
    affinity reassembles x itself. Windows reach over the border with keys of zero, which take part in the softmax.

    Args:
        channels: C, a multiple of 32.
        scale: s.
        guide_channels: G, a multiple of 32; C by default.
        up_kernel: k, the side of the window; odd.
        embedding_channels: of queries and keys.

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
        up_kernel: int = 5,
        embedding_channels: int = 32,
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        require_option("up_kernel", up_kernel, odd=True)
        require_option("embedding_channels", embedding_channels)
        require_divisible(channels, NORM_GROUPS, "the groups of SAPA's norm of x")
        require_divisible(self.guide_channels, NORM_GROUPS, "the groups of SAPA's norm of the guide")
        self.up_kernel = up_kernel
        self.norm_y = nn.GroupNorm(NORM_GROUPS, self.guide_channels)
        self.norm_x = nn.GroupNorm(NORM_GROUPS, channels)
        self.q = nn.Conv2d(self.guide_channels, embedding_channels, 1)
        self.k = nn.Conv2d(channels, embedding_channels, 1)
        self.init_weights()

    def init_weights(self) -> None:
        """Projections from a normal distribution, without biases."""
        for layer in (self.q, self.k):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, sH, sW) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        require_values_to_norm(x, NORM_GROUPS)
        require_values_to_norm(guide, NORM_GROUPS, "the guide")
        weights = local_affinity(
            *self.query_and_key(x, guide),  # without names, which would keep them in memory
            self.up_kernel,
            scale=self.scale,
            softmax=True,
            for_reassembly=True,
            backend=self.backend,
        )
        return reassemble(x, weights, self.up_kernel, scale=self.scale, backend=self.backend)

    def query_and_key(self, x: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """The queries (B, D, sH, sW) of the guide and the keys (B, D, H, W) of x."""
        query = project(guide, self.q, norm=self.norm_y, backend=self.backend)
        return query, project(x, self.k, norm=self.norm_x, backend=self.backend)
