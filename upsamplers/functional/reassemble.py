"""Reassembly: each output pixel a weighted sum of the k x k window of input pixels around its own."""

from __future__ import annotations

from torch import Tensor

from upsamplers.checks import require_divisible, require_window
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.portable_windows import shifted_sum
from upsamplers.functional._torch.reflection import fold_taps
from upsamplers.functional._torch.window_products import Reassembly


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
        x: (B, C, H, W), of any floating-point dtype, contiguous or channels_last.
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
    if needs_plain_operations():
        return shifted_sum(x, weights, kernel, groups=groups, scale=scale, border=border)
    require_window(x, kernel, border)
    require_divisible(x.shape[1], groups, "the groups of the weights")
    expected = (x.shape[0], groups * kernel**2, scale * x.shape[2], scale * x.shape[3])
    if tuple(weights.shape) != expected:
        raise Unsupported(f"weights have shape {tuple(weights.shape)}; expected {expected} for x {tuple(x.shape)}")
    if border == "reflection":
        weights = fold_taps(weights, kernel, scale)
    out: Tensor = Reassembly.apply(x, weights, kernel, groups, scale)  # type: ignore[no-untyped-call]
    return out
