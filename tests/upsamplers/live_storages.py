"""The most bytes of tensors that a call makes and that are alive at the same time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from upsampler_bench.device.tensor_memory import LiveStorages
from upsamplers import Upsampler


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


def assert_peaks(up: Upsampler, side: int, *, forward: float, training: float, trains: bool = False) -> None:
    """An operator's peaks for an x of side x side are at most so many outputs; of training in train mode or in eval."""
    inputs = up.example_inputs(1, side, side)
    output = up.scale**2 * inputs[0].numel() * inputs[0].element_size()
    found = peaks(up.eval(), *inputs)
    if trains:
        found = found[0], peaks(up.train(), *inputs)[1]
    assert found[0] <= forward * output, f"{found[0] / output:.3g} outputs forward"
    assert found[1] <= training * output, f"{found[1] / output:.3g} outputs in training"
