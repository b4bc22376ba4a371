"""Local affinity: how similar each high-resolution pixel is to the low-resolution pixels around it."""

from __future__ import annotations

from torch import Tensor

from upsamplers.checks import require_window
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.portable_windows import shifted_dots
from upsamplers.functional._torch.reflection import mirror_taps
from upsamplers.functional._torch.stage import stage
from upsamplers.functional._torch.window_products import Affinity
from upsamplers.functional.backend import uses_triton


def local_affinity(
    query: Tensor,
    key: Tensor,
    kernel: int,
    *,
    scale: int = 2,
    border: str = "zeros",
    softmax: bool = False,
    for_reassembly: bool = False,
    backend: str = "auto",
) -> Tensor:
    """Products of a query with the window of keys around it (SAPA, NeurIPS 2022, section 3.2).

    logits[b, m, i, j] = Σ_c query[b, c, i, j] · key[b, c, i//s + dy, j//s + dx], where (dy, dx) runs over the k x k
    window row by row (m = 0..k²-1), and keys are zero outside their borders, or continued beyond them. It is the
    transpose of `reassemble` in its weights, and shares its blocks: no window of keys is copied out, forward or
    backward, which reads them again.

    A program that is being compiled, exported or traced gets the same sums as k² multiplications and reductions, on the
    backend "triton" one operation. On CPU, half precision is summed in float32. Second derivatives are supported.

    Args:
        query: (B, D, sH, sW).
        key: (B, D, H, W) in the query's dtype.
        kernel: k, odd.
        scale: s.
        border: what lies beyond the borders of the keys: "zeros", "reflection" (which needs H, W > k // 2) or
            "replication".
        softmax: gives the softmax over each window, weights for `reassemble`.
        for_reassembly: gives whichever of the shapes that `reassemble` takes is faster.
        backend: "auto", "torch" or "triton".

    Returns:
        (B, k², sH, sW), or, if `for_reassembly`, before their pixel shuffle (B, k²s², H, W).

    Raises:
        Unsupported: kernel is even, query and key do not fit, the keys are too few to reflect, or the backend cannot
            run.
    """
    with stage("affinity"):
        fused = border != "replication" and uses_triton(backend, key, query, kernel=kernel, scale=scale)
        if fused or not needs_plain_operations():
            _require(query, key, kernel, scale, border)
        if fused:
            from upsamplers.functional._triton.windows import window_dots

            groups, reflect, shuffled = 1, border == "reflection", not for_reassembly
            affinity: Tensor = window_dots(key, query, kernel, groups, scale, reflect, softmax, shuffled, query.dtype)
            return affinity
        if needs_plain_operations():
            logits = shifted_dots(query, key, kernel, scale=scale, border=border)
        else:
            logits = Affinity.apply(query, key, kernel, scale)  # type: ignore[no-untyped-call]
            if border != "zeros":
                logits = mirror_taps(logits, kernel, scale, border)
        return logits.softmax(1) if softmax else logits


def _require(query: Tensor, key: Tensor, kernel: int, scale: int, border: str) -> None:
    require_window(key, kernel, border)
    batch, channels, height, width = key.shape
    expected = (batch, channels, scale * height, scale * width)
    if tuple(query.shape) != expected or query.dtype != key.dtype:
        raise Unsupported(
            f"the query is {query.dtype} of shape {tuple(query.shape)}; expected {key.dtype} of shape {expected} for "
            f"keys {tuple(key.shape)}"
        )
