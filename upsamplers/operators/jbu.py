"""JBU: a learned joint bilateral upsampler."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_features, require_guide, require_option, require_size
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional.backend import uses_triton
from upsamplers.functional.local_affinity import local_affinity
from upsamplers.functional.reassemble_bicubic import reassemble_bicubic
from upsamplers.registry import register

DROPOUT, LEAST_SUM, FIXUP_SHARE = 0.1, 1e-7, 0.1
TEMPERATURES = (1e-4, 1e4)


@register("jbu", paper="FeatUp, Fu et al., ICLR 2024", year=2024)
class JBU(Upsampler):
    """One stage of FeatUp's learned joint bilateral upsampler (ICLR 2024, section 3.2).

    The bicubically upsampled x is averaged over a window of output pixels, weighted by the similarity of their guide to
    the middle's (range) and by their distance (spatial), plus a learned correction. The guide may have any number of
    channels, such as those of an RGB image.

    Args:
        channels: C.
        scale: s.
        guide_channels: G; C by default.
        radius: the window has 2 · radius + 1 pixels a side.
        key_channels: of the projection in which the guide's pixels are compared.

    Raises:
        Unsupported: an option is not a positive integer.
    """

    needs_guide = True
    backends = ("torch", "triton")
    least_size = 2

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        guide_channels: int | None = None,
        radius: int = 3,
        key_channels: int = 32,
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        require_option("radius", radius)
        require_option("key_channels", key_channels)
        self.radius, self.kernel, self.least_size = radius, 2 * radius + 1, radius // scale + 1
        taps = self.kernel**2
        self.range_temp = nn.Parameter(torch.empty(()))
        self.sigma_spatial = nn.Parameter(torch.empty(()))
        self.range_proj = _projection(self.guide_channels, key_channels)
        self.fixup_proj = _projection(taps + self.guide_channels, taps)
        self.init_weights()

    def init_weights(self) -> None:
        """A temperature of exp 0 and a deviation of 1; the projections start as torch's convolutions."""
        nn.init.zeros_(self.range_temp)
        nn.init.ones_(self.sigma_spatial)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and a guide (B, G, sH, sW) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        require_guide(guide, x, self.guide_channels, self.scale)
        require_size(x, self.least_size, f"windows of {self.kernel} output pixels are reflected")
        # Passed on unnamed, so that they are freed when they have become weights of input pixels.
        return reassemble_bicubic(x, self.weights(guide), self.kernel, scale=self.scale, backend=self.backend)

    def weights(self, guide: Tensor) -> Tensor:
        """The weights (B, k², sH, sW) of the window around each output pixel, from a guide (B, G, sH, sW)."""
        weights = self._range_weights(guide)
        if self._is_fused(weights, guide):
            return self._fused_weights(weights, guide)
        combined = weights * self._spatial_weights(guide.dtype).view(1, -1, 1, 1)
        combined = (combined / combined.sum(1, keepdim=True).clamp_min(LEAST_SUM)).to(guide.dtype)
        return combined + FIXUP_SHARE * self._correction(combined, guide)

    def _range_weights(self, guide: Tensor) -> Tensor:
        """By similarity of the guide: (B, G, sH, sW) -> (B, k², sH, sW); they sum to one."""
        # In half precision the products of what an image's 0..255 is projected to would overflow.
        projected = self.range_proj(guide).to(coordinate_dtype(guide))  # (B, D, sH, sW)
        temperature = self.range_temp.clamp(*map(math.log, TEMPERATURES)).exp()  # in this order it never overflows
        return local_affinity(
            temperature * projected, projected, self.kernel,
            scale=1, border="reflection", softmax=True, backend=self.backend,
        )  # fmt: skip

    def _spatial_weights(self, dtype: torch.dtype) -> Tensor:
        """By distance on a grid of [-1, 1]²: (k²)."""
        steps = torch.linspace(-1, 1, self.kernel, dtype=dtype, device=self.sigma_spatial.device)
        squares = steps.square()
        return torch.exp(-(squares.unsqueeze(1) + squares).flatten() / (2 * self.sigma_spatial.square()))

    def _correction(self, weights: Tensor, guide: Tensor) -> Tensor:
        """`fixup_proj` of (weights, guide) concatenated: (B, k², sH, sW)."""
        corrected: Tensor
        if is_plain(self.fixup_proj):
            mixed = self._of_guide(guide) + F.conv2d(weights, self._of_weights())  # without the concatenated copy
            corrected = self.fixup_proj[1:](mixed)
        else:
            corrected = self.fixup_proj(torch.cat((weights, guide), dim=1))
        return corrected

    def _of_guide(self, guide: Tensor) -> Tensor:
        """What the guide's channels add to `fixup_proj[0]`, with its bias: (B, k², sH, sW)."""
        first = self.fixup_proj[0]
        return F.conv2d(guide, first.weight[:, self.kernel**2 :], first.bias)  # type: ignore[arg-type, index]

    def _of_weights(self) -> Tensor:
        """The part of `fixup_proj[0]` for the window's weights: (k², k², 1, 1)."""
        return self.fixup_proj[0].weight[:, : self.kernel**2]  # type: ignore[index]

    def _is_fused(self, weights: Tensor, guide: Tensor) -> bool:
        if torch.is_grad_enabled() or not is_plain(self.fixup_proj) or self.fixup_proj[2].training:
            return False
        return uses_triton(self.backend, weights, guide, *self.fixup_proj.parameters(), kernel=self.kernel)

    def _fused_weights(self, weights: Tensor, guide: Tensor) -> Tensor:
        from upsamplers.functional._triton.bilateral_weights import bilateral_weights

        last = self.fixup_proj[3]
        fused: Tensor = bilateral_weights(
            weights, self.sigma_spatial, self._of_guide(guide), self._of_weights(), last.weight, last.bias,
            self.kernel, LEAST_SUM, FIXUP_SHARE, guide.dtype,
        )  # fmt: skip
        return fused


def _projection(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 1), nn.GELU(), nn.Dropout2d(DROPOUT), nn.Conv2d(outside, outside, 1)
    )
