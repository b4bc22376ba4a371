"""The most bytes of tensors that a call makes and that are alive at the same time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from upsampler_bench.device.tensor_memory import LiveStorages


def peak_bytes(run: Callable[[], object]) -> int:
    """Peak bytes of storages made during a call, its result included; what it was given does not count."""
    with LiveStorages() as live:
        result = run()
    del result
    return live.peak


def peaks(call: Callable[..., Tensor], *inputs: Tensor) -> tuple[int, int]:
    """Peak bytes of a forward, and of a training step that makes the output's gradient, as a network does."""
    with torch.inference_mode():
        forward = peak_bytes(lambda: call(*inputs))
    leaves = [one.requires_grad_(one.is_floating_point()) for one in inputs]

    def step() -> tuple[Tensor, Tensor]:
        out = call(*leaves)
        grad = torch.ones_like(out)
        out.backward(grad)
        return out, grad

    return forward, peak_bytes(step)
