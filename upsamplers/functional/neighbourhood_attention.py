"""Neighbourhood attention: each output pixel a sum of the pixels of x around it, by how well they answer it."""

from __future__ import annotations

import torch
from torch import Tensor

from upsamplers.checks import require_divisible, require_option, require_shapes, require_size
from upsamplers.functional._torch.neighbourhoods import NeighbourhoodAttention, gathered_attention
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import uses_triton


def neighbourhood_attention(
    query: Tensor, key: Tensor, x: Tensor, kernel: int, *, heads: int = 1, scale: int = 2, backend: str = "auto"
) -> Tensor:
    """Attention of each output pixel to the k x k window of x around its own pixel (NAF, CVPR 2026).

    Output pixel (i, j) attends to rows r..r+k-1 of x, r = min(max(i//s - k//2, 0), H - k), columns likewise: near a
    border the window is pushed inside, never padded. Head n: out = Σ_m softmax_m(query · key_m / √(D/N)) · x_m, with
    the n-th of N contiguous parts of the channels of query, key and x. It is what NATTEN computes of keys and values
    upsampled by nearest, with dilation s.

    The s² output pixels of one pixel of x share its window, and are one batched product with it. Windows are copied
    out for a few rows of x and one head at a time, forward and backward, which computes the weights again; a step has
    no copy of keys or x at the output's size, and beyond its results a few MiB for a row of windows. On CPU, half
    precision is summed in float32. It is deterministic. Second derivatives are supported, but copy every window.

    The Triton form copies no window and stores no weight; backward allocates two numbers for each output pixel and
    head. It has no second derivatives. A NaN or infinity in x may spread to output pixels nearby, and one in any input
    to gradients nearby.

    On the PyTorch backend a program that is being compiled, exported or traced gets the same products, of all windows
    at once.

    Args:
        query: (B, D, sH, sW).
        key: (B, D, H, W).
        x: (B, C, H, W), of any floating-point dtype, contiguous or channels_last.
        kernel: k, odd.
        heads: N, dividing C and D.
        scale: s.
        backend: as in `upsamplers.create`; Triton takes up to 256 channels of query and key a head.

    Returns:
        (B, C, sH, sW) in x's dtype and memory format.

    Raises:
        Unsupported: k is even, x has fewer than k rows or columns, the heads do not divide C and D, or something does
            not fit x; or the backend cannot run.
    """
    with stage("attention"):
        require_option("the heads of the attention", heads)
        fused = uses_triton(backend, x, query, key, scale=scale, groups=heads, depth=query.shape[1] // heads)
        if not fused and needs_plain_operations():
            return gathered_attention(query, key, x, kernel, heads, scale)
        require_option("the kernel of a neighbourhood", kernel, odd=True)
        require_size(x, kernel, "windows are pushed inside")
        batch, channels, height, width = key.shape
        for count in (x.shape[1], channels):
            require_divisible(count, heads, "the heads of the attention")
        shapes = {
            "keys": (key, (len(x), channels, *x.shape[2:])),
            "a query": (query, (batch, channels, scale * height, scale * width)),
        }
        require_shapes(x, shapes)
        out: Tensor
        if fused:
            from upsamplers.functional._triton import neighbourhood_attention as triton_form
            from upsamplers.functional._triton.launch import dense

            dtype = torch.promote_types(query.dtype, key.dtype)
            out = triton_form.neighbourhood_attention(
                dense(query.to(dtype)), dense(key.to(dtype)), dense(x), kernel, heads, scale
            )
            return out
        out = NeighbourhoodAttention.apply(query, key, x, kernel, heads, scale)  # type: ignore[no-untyped-call]
        return out
