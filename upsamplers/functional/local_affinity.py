"""Local affinity: how similar each high-resolution pixel is to the low-resolution pixels around it."""

from __future__ import annotations

from torch import Tensor

from upsamplers.checks import require_window
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.portable_windows import shifted_dots
from upsamplers.functional._torch.reflection import mirror_taps
from upsamplers.functional._torch.window_products import Affinity


def local_affinity(query: Tensor, key: Tensor, kernel: int, *, scale: int = 2, border: str = "zeros") -> Tensor:
    """Products of a query with the window of keys around it (SAPA, NeurIPS 2022, section 3.2).

    logits[b, m, i, j] = Σ_c query[b, c, i, j] · key[b, c, i//s + dy, j//s + dx], where (dy, dx) runs over the k x k
    window row by row (m = 0..k²-1), and a key outside the borders is zero, or reflected at them. It is the transpose
    of `reassemble` in its weights, and shares its blocks: no window of keys is copied out, forward or backward, which
    reads them again.

    A program that is being compiled, exported or traced gets the same sums as k² multiplications and reductions. On
    CPU, half precision is summed in float32. Second derivatives are supported.

    Args:
        query: (B, D, sH, sW).
        key: (B, D, H, W) in the query's dtype.
        kernel: k, odd.
        scale: s.
        border: what lies beyond the borders of the keys: "zeros" or "reflection" (which needs H, W > k // 2).

    Returns:
        (B, k², sH, sW).

    Raises:
        Unsupported: kernel is even, query and key do not fit, or the keys are too few to reflect.
    """
    if needs_plain_operations():
        return shifted_dots(query, key, kernel, scale=scale, border=border)
    require_window(key, kernel, border)
    batch, channels, height, width = key.shape
    expected = (batch, channels, scale * height, scale * width)
    if tuple(query.shape) != expected or query.dtype != key.dtype:
        raise Unsupported(
            f"the query is {query.dtype} of shape {tuple(query.shape)}; expected {key.dtype} of shape {expected} for "
            f"keys {tuple(key.shape)}"
        )
    logits: Tensor = Affinity.apply(query, key, kernel, scale)  # type: ignore[no-untyped-call]
    return mirror_taps(logits, kernel, scale) if border == "reflection" else logits
