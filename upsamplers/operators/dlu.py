"""DLU: reassembly with kernels sampled, at learned points, from a small space of kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from upsamplers.base import Upsampler
from upsamplers.checks import require_features, require_option
from upsamplers.functional._torch.finite_points import are_finite, sample_grid
from upsamplers.functional._torch.pixel_shuffle import pixel_shuffle
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional.backend import uses_triton
from upsamplers.functional.convolve import convolve
from upsamplers.functional.project import project
from upsamplers.functional.reassemble import reassemble
from upsamplers.functional.sample_points import sample_points
from upsamplers.registry import register


@register("dlu", paper="Fu et al., ICPR 2024", year=2024)
class DLU(Upsampler):
    """Dynamic Lightweight Upsampling ("Lighten CARAFE", ICPR 2024).

    One kernel is predicted for each input pixel, not for each output pixel as in CARAFE; an output pixel reads its own
    out of them bilinearly, at its input pixel moved by a learned offset. Beyond the borders the border repeats.

    The offsets have the dtype that the convolutions compute in, what is done with them is float32 at least: in bfloat16
    a column beyond 256 has no neighbour nearer than two.

    Args:
        channels: C.
        scale: s.
        up_kernel: k, the side of the window; odd.
        compressed_channels: of what kernels and offsets are predicted from.

    Raises:
        Unsupported: the window's side is even, or an option is not a positive integer.
    """

    backends = ("torch", "triton")

    def __init__(self, channels: int, *, scale: int = 2, up_kernel: int = 5, compressed_channels: int = 64) -> None:
        super().__init__(channels, scale=scale)
        require_option("up_kernel", up_kernel, odd=True)
        require_option("compressed_channels", compressed_channels)
        self.up_kernel = up_kernel
        self.channel_compressor = nn.Conv2d(channels, compressed_channels, 1)
        self.kernel_space_generator = nn.Conv2d(compressed_channels, up_kernel**2, 3, padding=1)
        self.conv_offset = nn.Conv2d(compressed_channels, 2 * scale**2, 3, padding=1)
        self.init_weights()

    def init_weights(self) -> None:
        """As CARAFE's, and offsets of zero."""
        nn.init.xavier_uniform_(self.channel_compressor.weight)
        nn.init.normal_(self.kernel_space_generator.weight, std=0.001)
        nn.init.zeros_(self.conv_offset.weight)
        for layer in (self.channel_compressor, self.kernel_space_generator, self.conv_offset):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, self.channels)
        return reassemble(x, self.weights(x), self.up_kernel, scale=self.scale, backend=self.backend)

    def weights(self, x: Tensor) -> Tensor:
        """The reassembly weights (B, k², sH, sW) of x (B, C, H, W), at least in float32; they sum to one."""
        compressed = project(x, self.channel_compressor, backend=self.backend)  # (B, compressed, H, W)
        space = convolve(compressed, self.kernel_space_generator, backend=self.backend)  # (B, k², H, W)
        space = space.softmax(1, dtype=coordinate_dtype(x))
        offsets = convolve(compressed, self.conv_offset, backend=self.backend)  # (B, 2s², H, W)
        if uses_triton(self.backend, space, offsets, scale=self.scale):
            return sample_points(space, offsets, self.scale, backend="triton")
        points = _points(pixel_shuffle(offsets.to(space.dtype), self.scale), self.scale)
        return sample_grid(space, points, are_finite=are_finite(offsets), align_corners=True)


def _points(offsets: Tensor, scale: int) -> Tensor:
    """Where output pixels read, from their offsets (B, 2, sH, sW), x then y, in input pixels: (B, sH, sW, 2)."""
    d_x, d_y = offsets.unbind(1)  # (B, sH, sW)
    return torch.stack((_normalised(d_x, scale), _normalised(d_y.transpose(1, 2), scale).transpose(1, 2)), dim=-1)


def _normalised(offsets: Tensor, scale: int) -> Tensor:
    """The last dimension's input pixels (…, sW), moved by offsets, from [0, W-1] to [-1, 1].

    A side of a single pixel has no spacing: grid_sample reads that pixel at any coordinate.
    """
    pixels = torch.arange(offsets.shape[-1], dtype=offsets.dtype, device=offsets.device)
    pixels = pixels.div(scale, rounding_mode="floor")  # (sW)
    return (pixels + offsets) * 2 / pixels[-1:].clamp_min(1) - 1
