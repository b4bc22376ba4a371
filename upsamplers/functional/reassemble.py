"""Reassembly: each output pixel a weighted sum of the k x k window of input pixels around its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from upsamplers.base import require_divisible
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.capturing import is_being_captured
from upsamplers.functional._torch.differentiable import gradients_again
from upsamplers.functional._torch.reflection import fold_taps
from upsamplers.functional._torch.window_products import gradients, weighted_sums

BORDERS = {"zeros": "constant", "reflection": "reflect"}


def reassemble(
    x: Tensor, weights: Tensor, kernel: int, *, groups: int = 1, scale: int = 2, border: str = "zeros"
) -> Tensor:
    """Content-aware reassembly (CARAFE, ICCV 2019, section 3.2.2).

    out[b, c, i, j] = Σ_m weights[b, g·k² + m, i, j] · x[b, c, i//s + dy, j//s + dx], where (dy, dx) runs over the k x k
    window row by row (m = 0..k²-1), g = c // (C/Z), and x is zero outside its borders, or reflected at them. No window
    of x is copied out: beyond the output it takes the memory of the weights and about a sixth of the output's,
    backward also that of x.

    A program that is being compiled, exported or traced gets the same sum as k² multiplications and additions. On CPU,
    half precision is summed in float32. Second derivatives are supported.

    Args:
        x: (B, C, H, W), of any floating dtype, contiguous or channels_last.
        weights: (B, Zk², sH, sW); cast to x's dtype.
        kernel: k, odd.
        groups: Z, dividing C; each of the Z contiguous channel groups has weights of its own.
        scale: s.
        border: what lies beyond the borders of x: "zeros" or "reflection" (which needs H, W > k // 2).

    Returns:
        (B, C, sH, sW) in x's dtype and memory format.

    Raises:
        Unsupported: kernel is even, the groups do not divide C, the weights do not fit, or x is too small to reflect.
    """
    weights = weights.to(x.dtype)
    if is_being_captured():
        return shifted_sum(x, weights, kernel, groups=groups, scale=scale, border=border)
    _require_fitting(x, weights, kernel, groups, scale)
    require_border(x, kernel, border)
    if border == "reflection":
        weights = fold_taps(weights, kernel, scale)
    out: Tensor = _Reassembly.apply(x, weights, kernel, groups, scale)  # type: ignore[no-untyped-call]
    return out


def shifted_sum(
    x: Tensor, weights: Tensor, kernel: int, *, groups: int = 1, scale: int = 2, border: str = "zeros"
) -> Tensor:
    """`reassemble` in plain differentiable operations on images: k² · C · sH · sW products an image.

    Args:
        x: (B, C, H, W).
        weights: (B, Zk², sH, sW) in x's dtype.
        kernel, groups, scale: k, Z and s.
        border: "zeros" or "reflection".

    Returns:
        (B, C, sH, sW).
    """
    channels, (tall, wide) = x.shape[1], weights.shape[2:]
    weights = weights.reshape(-1, kernel**2, tall, wide)  # (B·Z, k², sH, sW)
    by_group = x.reshape(-1, channels // groups, *x.shape[2:])  # (B·Z, C/Z, H, W)
    out: Tensor | None = None
    for tap, shifted in enumerate(shifted_copies(by_group, kernel, scale, border)):
        term = shifted * weights[:, tap : tap + 1]
        out = term if out is None else out + term
    assert out is not None
    return out.reshape(-1, channels, tall, wide)


def shifted_copies(x: Tensor, kernel: int, scale: int, border: str) -> Iterator[Tensor]:
    """What each tap of the window sees at every output pixel: k² views (B, C, sH, sW) of one padded x (B, C, H, W)."""
    nearest = _repeated(F.pad(x, (kernel // 2,) * 4, mode=BORDERS[border]), scale)  # (B, C, sP, sQ)
    tall, wide = (side - scale * (kernel - 1) for side in nearest.shape[2:])
    for tap in range(kernel**2):
        down, across = scale * (tap // kernel), scale * (tap % kernel)
        yield nearest[:, :, down : down + tall, across : across + wide]


def require_border(x: Tensor, kernel: int, border: str) -> None:
    """Refuses a border that is none, or that x (B, C, H, W) is too small for.

    Raises:
        Unsupported: naming what was found and what is accepted.
    """
    if border not in BORDERS:
        raise Unsupported(f"no border {border!r}; there are {', '.join(map(repr, BORDERS))}")
    if border == "reflection" and min(x.shape[2:]) <= kernel // 2:
        raise Unsupported(
            f"{x.shape[2]} x {x.shape[3]} pixels are too few to reflect {kernel // 2} at each border; expected sides "
            f"from {kernel // 2 + 1}"
        )


class _Reassembly(Function):
    """Keeps x and the weights alone for backward, which reads the windows again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, kernel: int, groups: int, scale: int) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.sizes = (kernel, groups, scale)
        return weighted_sums(x, weights, kernel, groups, scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weights = ctx.saved_tensors
        kernel, groups, scale = ctx.sizes
        needs = ctx.needs_input_grad[:2]
        # Only where gradients of gradients are asked for.
        if torch.is_grad_enabled():
            form = partial(shifted_sum, kernel=kernel, groups=groups, scale=scale)
            return *gradients_again(form, (x, weights), grad, needs), None, None, None
        return *gradients(x, weights, grad, kernel, groups, scale, needs=needs), None, None, None


def _repeated(x: Tensor, scale: int) -> Tensor:
    """Every pixel s x s times: (B, C, H, W) -> (B, C, sH, sW)."""
    copies = x.unsqueeze(2).expand(-1, -1, scale**2, -1, -1)  # (B, C, s², H, W)
    return F.pixel_shuffle(copies.flatten(1, 2), scale)


def _require_fitting(x: Tensor, weights: Tensor, kernel: int, groups: int, scale: int) -> None:
    if kernel < 1 or kernel % 2 == 0:
        raise Unsupported(f"a window of {kernel} x {kernel} has no middle; expected an odd kernel")
    require_divisible(x.shape[1], groups, "the groups of the weights")
    expected = (x.shape[0], groups * kernel**2, scale * x.shape[2], scale * x.shape[3])
    if tuple(weights.shape) != expected:
        raise Unsupported(f"weights have shape {tuple(weights.shape)}; expected {expected} for x {tuple(x.shape)}")
