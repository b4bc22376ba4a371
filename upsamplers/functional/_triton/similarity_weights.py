"""The weights of SIERRA as an operation: a forward alone, for inference."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from upsamplers.functional._triton.launch import launch, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional._triton.similarity_weights_kernels import similarity_weights_fwd_kernel
from upsamplers.functional.backend import next_power_of_2


def _empty(mean: Tensor, prior: Tensor, softening: float, dtype: torch.dtype) -> Tensor:
    batch, _, height, width = mean.shape
    return mean.new_empty((batch, prior.numel(), height, width), dtype=dtype)


@partial(Operation, fake=_empty)
def similarity_weights(mean: Tensor, prior: Tensor, softening: float, dtype: torch.dtype) -> Tensor:
    """Softmax over each window of how near a neighbour is times how similar.

    Args:
        mean: over the channels, (B, 1, H, W) in float32.
        prior: of distances, (k², s²).
        softening: added to squared differences of means.
        dtype: of the weights.

    Returns:
        (B, k²s², H, W).
    """
    weights = _empty(mean, prior, softening, dtype)
    batch, _, height, width = mean.shape
    kernel, scale = (round(number**0.5) for number in prior.shape)
    launch(
        similarity_weights_fwd_kernel, lambda meta: (-(-height * width // meta["BLOCK_P"]), 1, batch),
        mean.contiguous(), prior.contiguous(), weights, height, width, softening, *tuning_keys(mean),
        K=kernel, S=scale, TAPS=next_power_of_2(kernel**2),
    )  # fmt: skip
    return weights
