"""Cross-attention: each high-resolution pixel averages a low-resolution feature, of all pixels or of those near it."""

from __future__ import annotations

import torch
from torch import Tensor

from upsamplers.errors import Unsupported
from upsamplers.functional._torch.attention_tiles import Attention, dense_attention, windowed_attention
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.stage import stage


def cross_attention(query: Tensor, key: Tensor, value: Tensor, *, heads: int = 4, window: float = 0.0) -> Tensor:
    """The mean of the heads' weights, times the value (JAFAR, NeurIPS 2025; AnyUp, ICLR 2026).

    A head's weights are the softmax over the keys of query · key / √d, d = E / heads. With a window output pixel (i, j)
    sees the keys of rows ⌊max(p - ρ, 0) · H⌋ to ⌈min(p + ρ, 1) · H⌉ - 1, where p = (i + ½) / h, likewise columns.

    The weights are computed tile by tile of the output, in float32 at least, and again in backward; there are never
    more than a few MiB of them. A program that is being compiled or exported gets all of them at once. Second
    derivatives are supported.

    Args:
        query: (B, E, h, w), the heads' channels one after another.
        key: (B, E, H, W).
        value: (B, C, H, W).
        heads: divides E.
        window: ρ, a share of the image's height and width; 0: every pixel sees every key.

    Returns:
        (B, C, h, w) in the value's dtype and memory format.

    Raises:
        Unsupported: the shapes do not fit.
    """
    with stage("attention"):
        if not needs_plain_operations():
            _require(query, key, value, heads)
            out: Tensor = Attention.apply(query, key, value, heads, window)  # type: ignore[no-untyped-call]
            return out
        form = windowed_attention if torch.jit.is_tracing() and window > 0 else dense_attention  # type: ignore[attr-defined, no-untyped-call]
        return form(query, key, value, heads, window)


def _require(query: Tensor, key: Tensor, value: Tensor, heads: int) -> None:
    fits = query.shape[:2] == key.shape[:2] and value.shape[2:] == key.shape[2:] and len(value) == len(key)
    if not fits or query.shape[1] % heads:
        shapes = ", ".join(str(tuple(one.shape)) for one in (query, key, value))
        raise Unsupported(
            f"query, key and value are {shapes}; expected (B, E, h, w), (B, E, H, W) and (B, C, H, W) with E a "
            f"multiple of {heads} heads"
        )
