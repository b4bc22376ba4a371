"""Dynamic selection: each output pixel a weighted sum of learned points of x, chosen by their affinity."""

from __future__ import annotations

from torch import Tensor

from upsamplers.checks import require_divisible, require_shapes
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.point_selection import SelectedPoints, sampled_selection
from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import uses_triton


def selected_points(
    x: Tensor, key: Tensor, query: Tensor, offsets: Tensor, *, groups: int, scale: int, backend: str = "auto"
) -> Tensor:
    """Dynamic selection (SAPA-D, "On Point Affiliation").

    Point m of group g of output pixel (i, j) is at row i // s + dy and column j // s + dx of x; x and the keys are read
    there bilinearly, zero outside. logits[g, m] = query_g · key_g(m); the output of group g = Σ_m softmax_m(logits)[g,
    m] · x_g(m).

    No sample is copied out, forward or backward, which reads the points again; both run in a fixed order, without
    atomic additions. Coordinates and sums are float32 at least. Second derivatives are supported, but copy every
    sample.

    The Triton form allocates 3ZP numbers for each output pixel, in backward 7ZP. It has no second derivatives, and adds
    atomically in backward, except with `torch.use_deterministic_algorithms`: then backward is the PyTorch form's.

    On the PyTorch backend a program that is being compiled, exported or traced gets the same sums as two calls of
    grid_sample a point.

    Args:
        x: (B, C, H, W).
        key: (B, ZD, H, W).
        query: (B, ZD, sH, sW).
        offsets: (B, 2ZP, sH, sW), channels ordered group · point · coordinate (x, y).
        groups: Z, dividing C; contiguous groups of channels.
        scale: s.
        backend: as in `upsamplers.create`.

    Returns:
        (B, C, sH, sW) in x's dtype and memory format.

    Raises:
        Unsupported: the groups do not divide C, something does not fit x, or the backend cannot run.
    """
    with stage("selection"):
        fused = uses_triton(backend, x, key, query, offsets, scale=scale, groups=groups)
        if not fused and needs_plain_operations():
            return sampled_selection(x, key, query, offsets, groups, scale)
        require_divisible(x.shape[1], groups, "the groups of the points")
        require_divisible(key.shape[1], groups, "the groups of the points")
        require_divisible(offsets.shape[1], 2 * groups, "two coordinates for each point of a group")
        size = scale * x.shape[2], scale * x.shape[3]
        shapes = {
            "keys": (key, (len(x), key.shape[1], *x.shape[2:])),
            "a query": (query, (len(x), key.shape[1], *size)),
            "offsets": (offsets, (len(x), offsets.shape[1], *size)),
        }
        require_shapes(x, shapes)
        out: Tensor
        if fused:
            from upsamplers.functional._triton import selected_points as triton_form
            from upsamplers.functional._triton.launch import dense

            out = triton_form.selected_points(x, key, dense(query), offsets, groups, scale)
            return out
        out = SelectedPoints.apply(x, key, query, offsets, groups, scale)  # type: ignore[no-untyped-call]
        return out
