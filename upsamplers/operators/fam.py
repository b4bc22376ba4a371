"""FAM: flow alignment, which reads x where a flow predicted from both features points."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_divisible, require_features, require_guide_of_any_size
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.layout import laid_out_as
from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.precision import coordinate_dtype, without_autocast
from upsamplers.registry import register

GATES = (None, "spatial", "pooled")


@register("fam", paper="SFNet, Li et al., ECCV 2020", year=2020)
class FAM(Upsampler):
    """The Flow Alignment Module of SFNet (ECCV 2020, section 3.2; gated: SFNet-Lite, IJCV 2023, section 3.3).

    Both features are compressed and compared; a convolution predicts for each output pixel a flow, and x is read there.
    The output has the size of the guide, whatever that is; the scale says only what a model wants.

    Args:
        channels: C, even.
        scale: s; no effect on `forward`.
        guide_channels: G; C by default, and C where gated.
        gate: "spatial" and "pooled" warp the guide too, by a second flow, and blend both: the gate is predicted from
            the compressed features, or from means and maxima over channels.

    Raises:
        Unsupported: C is odd, gated with G other than C, or there is no such gate.
    """

    needs_guide = True

    def __init__(
        self, channels: int, *, scale: int = 2, guide_channels: int | None = None, gate: str | None = None
    ) -> None:
        super().__init__(channels, scale=scale, guide_channels=guide_channels)
        require_divisible(channels, 2, "FAM compresses to C/2")
        if gate not in GATES:
            raise Unsupported(f"no gate {gate!r}; expected {', '.join(map(repr, GATES))}")
        if gate and self.guide_channels != channels:
            raise Unsupported(
                f"a gate blends x with the guide: expected {channels} guide channels, not {self.guide_channels}"
            )
        self.gate = gate
        self.down_h = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.down_l = nn.Conv2d(self.guide_channels, channels // 2, 1, bias=False)
        self.flow_make = nn.Conv2d(channels, 4 if gate else 2, 3, padding=1, bias=False)
        if gate:
            compared = channels if gate == "spatial" else 4
            self.flow_gate = nn.Sequential(nn.Conv2d(compared, 1, 3, padding=1, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, h, w) of any size -> (B, C, h, w)."""
        require_features(x, self.channels)
        require_guide_of_any_size(guide, x, self.guide_channels)
        x_aligned = F.interpolate(self.down_h(x), size=guide.shape[2:], mode="bilinear", align_corners=True)
        compressed = self.down_l(guide)  # both (B, C/2, h, w)
        flow = _convolved(self.flow_make, x_aligned, compressed)
        if not self.gate:
            del x_aligned, compressed
            return warp(x, flow)
        gate = self._gate(x_aligned, compressed, guide)
        del x_aligned, compressed
        flow, flow_of_guide = flow.chunk(2, dim=1)
        out = warp(guide, flow_of_guide)
        return torch.lerp(out, warp(x, flow).to(out.dtype), gate.to(out.dtype)).to(x.dtype)

    def _gate(self, x_aligned: Tensor, compressed: Tensor, guide: Tensor) -> Tensor:
        """How much of the output comes from x: (B, 1, h, w)."""
        if self.gate == "spatial":
            features = [x_aligned, compressed]
        else:
            means = [feature.mean(1, keepdim=True) for feature in (x_aligned, guide)]
            features = [*means, *(feature.amax(1, keepdim=True) for feature in (x_aligned, guide))]
        # Under autocast the guide may be of another half precision.
        return self.flow_gate(torch.cat([feature.to(x_aligned.dtype) for feature in features], dim=1))  # type: ignore[no-any-return]

    def upsample_to(self, x: Tensor, feature: Tensor) -> Tensor:
        """X (B, C, H, W) and an encoder feature (B, G, h, w) of any size -> (B, C, h, w)."""
        return self(x, self.make_guide(feature))  # type: ignore[no-any-return]


def _convolved(layer: nn.Conv2d, first: Tensor, second: Tensor) -> Tensor:
    """The layer's output for both features, concatenated."""
    if not is_plain(layer) or layer.groups > 1 or layer.padding_mode != "zeros":
        return layer(torch.cat((first, second), dim=1))  # type: ignore[no-any-return]
    weights = layer.weight.split([first.shape[1], second.shape[1]], dim=1)
    steps: Any = (layer.stride, layer.padding, layer.dilation)
    return F.conv2d(first, weights[0], layer.bias, *steps) + F.conv2d(second, weights[1], None, *steps)


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Reads x bilinearly where a flow points, zero outside (SFNet, section 3.2).

    Output pixel (i, j) of h x w reads at (j, i) with align_corners=True, plus flow / (w, h) on an axis of length 2: one
    unit of flow is about half an output pixel.

    Args:
        x: (B, C, H, W).
        flow: (B, 2, h, w), across and down; computed with in float32 at least.

    Returns:
        (B, C, h, w) in x's dtype and memory format.
    """
    height, width = flow.shape[2:]
    dtype = coordinate_dtype(x)
    with without_autocast(x):
        across, down = flow.to(dtype).unbind(1)  # (B, h, w)
        columns = torch.add(_axis(width, across), across, alpha=1 / width)
        rows = torch.add(_axis(height, down).unsqueeze(1), down, alpha=1 / height)
        grid = torch.stack((columns, rows), dim=-1)  # (B, h, w, 2)
        out = F.grid_sample(x.to(dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=True).to(x.dtype)
    return laid_out_as(x, out)


def _axis(size: int, like: Tensor) -> Tensor:
    """`size` positions from -1 to 1, both included; a single one is -1."""
    steps = torch.arange(size, dtype=like.dtype, device=like.device)
    return steps * 2 / steps[-1:].clamp_min(1) - 1
