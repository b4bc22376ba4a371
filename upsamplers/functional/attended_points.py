"""Local deformable attention: each output pixel a weighted sum of learned points of x, by how well they answer it."""

from __future__ import annotations

from torch import Tensor

from upsamplers.checks import require_divisible, require_option, require_shapes
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.point_attention import AttendedPoints
from upsamplers.functional._torch.point_blocks import Neighbourhood
from upsamplers.functional._torch.portable_points import sampled_sum
from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import MOST_IMAGES, uses_triton


def attended_points(
    x: Tensor,
    key: Tensor,
    query: Tensor,
    bias: Tensor,
    offsets: Tensor,
    hood: Neighbourhood,
    *,
    backend: str = "auto",
) -> Tensor:
    """Local deformable attention (LDA-AQU, ACM MM 2024, section 3.3).

    Point m of output pixel (i, j) lies, in output pixels, at (i + dy_m, j + dx_m) + reach · tanh(offsets), where (dy,
    dx) runs over the k x k window row by row. x and the keys are read there bilinearly with align_corners=True, zero
    outside; an output side of a single pixel reads that pixel. logits[m] = query · (key_m + bias_m) / √D over all D
    channels; out = Σ_m softmax(logits)_m · x_m.

    No sample is ever copied out. Beyond the output it takes the memory of x and the keys, at least in float32, and
    about a quarter of the output's; backward that of x and the keys twice, and of every gradient. Coordinates and sums
    are float32 at least. Both run in a fixed order, without atomic additions. Second derivatives are supported, but
    copy every sample.

    The Triton form allocates 2Zk² + k² numbers for each output pixel, in backward twice as many and k² more. It has no
    second derivatives, and adds atomically in backward, except with `torch.use_deterministic_algorithms`: then backward
    is the PyTorch form's.

    On the PyTorch backend a program that is being compiled, exported or traced gets the same sum as 2k² calls of
    grid_sample (whose own backward adds atomically on a GPU).

    Args:
        x: (B, C, H, W), of any floating-point dtype, contiguous or channels_last.
        key: (B, D, H, W).
        query: (B, D, sH, sW).
        bias: (k², D), added to the keys.
        offsets: (B, 2Zk², sH, sW), channels ordered group · point · coordinate (y, x).
        hood: k, Z and the reach.
        backend: as in `upsamplers.create`.

    Returns:
        (B, C, sH, sW) in x's dtype and memory format.

    Raises:
        Unsupported: k is even, the groups do not divide C and D, something does not fit x, or the backend cannot run.
    """
    with stage("attention"):
        scale = max(-(-query.shape[axis] // x.shape[axis]) for axis in (2, 3))
        others = (key, query, bias, offsets)
        planes = hood.groups * hood.points
        why_not = f"takes up to {MOST_IMAGES} points of all groups, not {planes}" if planes > MOST_IMAGES else None
        fused = uses_triton(backend, x, *others, scale=scale, groups=hood.groups, why_not=why_not)
        if not fused and needs_plain_operations():
            return sampled_sum(x, key, query, bias, offsets, hood)
        require_option("the kernel of a neighbourhood", hood.kernel, odd=True)
        for image in (x, key):
            require_divisible(image.shape[1], hood.groups, "the groups of the points")
        batch, channels = key.shape[:2]
        size = query.shape[2:]
        shapes = {
            "keys": (key, (len(x), channels, *x.shape[2:])),
            "a query": (query, (batch, channels, *size)),
            "a bias": (bias, (hood.points, channels)),
            "offsets": (offsets, (batch, 2 * hood.groups * hood.points, *size)),
        }
        require_shapes(x, shapes)
        out: Tensor
        if fused:
            from upsamplers.functional._triton import attended_points as triton_form
            from upsamplers.functional._triton.launch import dense

            out = triton_form.attended_points(
                x, key, dense(query), bias.contiguous(), dense(offsets), hood.kernel, hood.groups, float(hood.reach)
            )
            return out
        out = AttendedPoints.apply(x, key, query, bias, offsets, hood)  # type: ignore[no-untyped-call]
        return out
