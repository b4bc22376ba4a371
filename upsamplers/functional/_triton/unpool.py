"""`max_unpool`: each output written once, then the values whose index lies outside their own window."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from upsamplers.functional._triton.launch import empty_upsampled, launch, narrow, tuning_keys
from upsamplers.functional._triton.operation import Operation
from upsamplers.functional._triton.unpool_kernels import unpool_fwd_kernel
from upsamplers.functional.backend import next_power_of_2


def max_unpool_fwd(x: Tensor, index: Tensor, scale: int) -> Tensor:
    """X (B, C, H, W), contiguous or channels_last, placed at flat indices (B, C, H, W) into images (sH, sW)."""
    out = empty_upsampled(x, scale)
    batch, channels, height, width = x.shape
    index = narrow(index)
    for strays in (False, True):
        launch(
            unpool_fwd_kernel,
            lambda blocks: (height * -(-width // blocks["BLOCK_P"]), -(-channels // blocks["BLOCK_C"]), batch),
            x, index, out, channels, height, width, *tuning_keys(x), *x.stride(), *index.stride(), *out.stride(),
            S=scale, SUBS=next_power_of_2(scale**2), STRAYS=strays, IN_ROWS=out.stride(3) == 1,
        )  # fmt: skip
    return out


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    (index,) = ctx.saved_tensors
    return grad.flatten(2).gather(2, index.flatten(2)).view(index.shape), None, None


max_unpool = Operation(
    max_unpool_fwd,
    lambda x, index, scale: empty_upsampled(x, scale),
    setup_context=_setup_context,
    backward=_backward,
)
