"""SIERRA: reassembly weights from two priors, of gradients and of distances, without parameters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.base import Upsampler
from upsamplers.checks import require_features, require_option
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional.backend import uses_triton
from upsamplers.functional.reassemble import reassemble
from upsamplers.registry import register

SOFTENING = 0.2


@register("sierra", paper="Fu et al., CVIU 2023", year=2023)
class Sierra(Upsampler):
    """Parameter-free reassembly (CVIU 2023): a neighbour weighs more the nearer and the more similar it is.

    Args:
        channels: C.
        scale: s.
        up_kernel: k, the side of the window; odd.

    Raises:
        Unsupported: the window's side is even.
    """

    backends = ("torch", "triton")
    kernel: Tensor

    def __init__(self, channels: int, *, scale: int = 2, up_kernel: int = 3) -> None:
        super().__init__(channels, scale=scale)
        require_option("up_kernel", up_kernel, odd=True)
        self.up_kernel = up_kernel
        self.register_buffer("kernel", torch.empty(up_kernel**2, scale**2))
        self.init_weights()

    def init_weights(self) -> None:
        """The prior of distances: how near each neighbour is to each output pixel of the middle one, (k², s²)."""
        offsets = torch.arange(self.up_kernel) - self.up_kernel // 2
        steps = (torch.arange(self.scale) - (self.scale - 1) / 2) / self.scale
        neighbours = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"), -1).view(-1, 1, 2)  # (k², 1, 2)
        centres = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1).view(1, -1, 2)  # (1, s², 2)
        self.kernel.copy_(((centres - neighbours).square().sum(-1) + SOFTENING).reciprocal())

    def forward(self, x: Tensor) -> Tensor:
        """X (B, C, H, W) -> (B, C, sH, sW)."""
        require_features(x, None)
        if not torch.is_grad_enabled() and uses_triton(
            self.backend, x, self.kernel, kernel=self.up_kernel, scale=self.scale
        ):
            from upsamplers.functional._triton.similarity_weights import similarity_weights

            weights = similarity_weights(self._mean(x), self.kernel, SOFTENING, x.dtype)
            return reassemble(x, weights, self.up_kernel, scale=self.scale, backend=self.backend)
        return reassemble(
            x, self.logits(x), self.up_kernel, scale=self.scale, normalize="softmax", backend=self.backend
        )

    def logits(self, x: Tensor) -> Tensor:
        """The logits (B, k²s², H, W) of the weights of x (B, C, H, W), before their pixel shuffle; float32 at least."""
        prior = self._gradient_prior(self._mean(x))  # (B, k², H, W)
        logits = prior.unsqueeze(2) * self.kernel.to(prior.dtype)[:, :, None, None]  # (B, k², s², H, W)
        return logits.flatten(1, 2)

    def _mean(self, x: Tensor) -> Tensor:
        """Over the channels, (B, 1, H, W)."""
        return x.mean(1, keepdim=True, dtype=coordinate_dtype(x))

    def _gradient_prior(self, mean: Tensor) -> Tensor:
        """How similar each neighbour's channel mean is: (B, 1, H, W) -> (B, k², H, W)."""
        padded = F.pad(mean, (self.up_kernel // 2,) * 4)
        neighbours = [
            padded[:, :, down : down + mean.shape[2], across : across + mean.shape[3]]
            for down in range(self.up_kernel)
            for across in range(self.up_kernel)
        ]
        return ((torch.cat(neighbours, 1) - mean).square() + SOFTENING).reciprocal()
