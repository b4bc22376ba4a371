"""Point sampling: one displaced point of the low-resolution feature for every output pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from upsamplers.checks import require_divisible
from upsamplers.errors import Unsupported
from upsamplers.functional._torch.finite_points import are_finite, sample_grid
from upsamplers.functional._torch.layout import laid_out_as
from upsamplers.functional._torch.pixel_shuffle import pixel_shuffle
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.precision import coordinate_dtype
from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import uses_triton


def normalised_points(displacement: Tensor, scale: int) -> Tensor:
    """Where output pixels sample, from their displacement in pixels of the input.

    Output pixel (s·i + a, s·j + b) samples at (j + ½ + d_x, i + ½ + d_y) pixels, normalised by 2·/(W, H) − 1.
    The arithmetic stays in the displacement's dtype, which therefore is float32 or float64: in bfloat16 j + ½ is not
    representable from column 128 on.

    Args:
        displacement: (B, 2Zs², H, W), channels ordered coordinate (x, y) · group · position s·a + b.
        scale: s.

    Returns:
        (B, 2, Z, sH, sW) in [-1, 1] inside the image.
    """
    batch, _, height, width = displacement.shape
    columns, rows = _centres(width, displacement), _centres(height, displacement)
    d_x, d_y = displacement.chunk(2, dim=1)  # (B, Zs², H, W)
    x = torch.add(columns, d_x, alpha=2 / width)
    y = torch.add(rows.view(-1, 1), d_y, alpha=2 / height)
    points = pixel_shuffle(torch.cat((x, y), dim=1), scale)  # (B, 2Z, sH, sW)
    return points.view(batch, 2, points.shape[1] // 2, scale * height, scale * width)


def _centres(size: int, like: Tensor) -> Tensor:
    """The centres of `size` pixels, normalised to [-1, 1]."""
    return (torch.arange(size, dtype=like.dtype, device=like.device) * 2 + 1) / size - 1


def bilinear_positions(scale: int, groups: int) -> Tensor:
    """Where bilinear interpolation reads, from the centre of each output pixel's input pixel, in input pixels.

    Returns:
        (1, 2Zs², 1, 1), channels ordered coordinate (x, y) · group · position s·a + b.
    """
    steps = (torch.arange(scale) - (scale - 1) / 2) / scale
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")  # (s, s): position s·a + b
    one_group = torch.stack((columns, rows)).view(2, 1, -1)  # (2, 1, s²): x, then y
    return one_group.expand(2, groups, -1).reshape(1, -1, 1, 1)


def displacement(offsets: Tensor, scopes: Tensor | None, initial: Tensor | None, factor: float) -> Tensor:
    """initial + factor · offsets · σ(scopes), in the dtype of the offsets."""
    start = offsets.new_zeros(()) if initial is None else initial.to(offsets.dtype)
    if scopes is None:
        return torch.add(start, offsets, alpha=factor)
    return torch.addcmul(start, offsets, scopes.to(offsets.dtype).sigmoid(), value=factor)


def sample_points(
    x: Tensor,
    offsets: Tensor,
    scale: int,
    *,
    scopes: Tensor | None = None,
    initial: Tensor | None = None,
    factor: float = 1.0,
    backend: str = "auto",
) -> Tensor:
    """Reads x bilinearly at one displaced point for each output pixel (DySample, ICCV 2023); the border repeats.

    Output pixel (s·i + a, s·j + b) reads at row i and column j plus its displacement, initial + factor · offset ·
    σ(scope), in pixels of x. Offsets alone are displacements.

    On Triton nothing but the output is stored, and x is read in its own dtype. The gradient of x is added in float32:
    in a fixed order for points at most one pixel away, in none for points farther away, unless
    torch.use_deterministic_algorithms is on. On PyTorch a half-precision x is read in float32, since grid_sample takes
    x and points in one dtype: that costs a float32 copy of x and of the output while it runs.

    Args:
        x: (B, C, H, W).
        offsets: (B, 2Zs², H, W), channels ordered coordinate (x, y) · group · position s·a + b; each of the Z
            contiguous channel groups has its own.
        scale: s.
        scopes: as the offsets, before their sigmoid.
        initial: 2Zs² displacements that all input pixels share, (1, 2Zs², 1, 1); 0 by default.
        factor: of the offsets.
        backend: "auto", "torch" or "triton".

    Returns:
        (B, C, sH, sW) in x's dtype and memory format.

    Raises:
        Unsupported: the offsets or scopes do not fit x; or the backend cannot run.
    """
    with stage("sampling"):
        batch, channels, height, width = x.shape
        groups = offsets.shape[1] // (2 * scale**2)
        given = [tensor for tensor in (scopes, initial) if tensor is not None]
        learns_initial = initial is not None and initial.requires_grad and torch.is_grad_enabled()
        why_not = "has no gradient of the initial displacements" if learns_initial else None
        fused = uses_triton(backend, x, offsets, *given, scale=scale, groups=groups, why_not=why_not)
        if fused or not needs_plain_operations():
            _require(x, offsets, scopes, initial, groups, scale)
        if fused:
            from upsamplers.functional._triton import points

            return points.sample(x, offsets, scopes, initial, float(factor), groups, scale)
        dtype = coordinate_dtype(x)
        moved = displacement(offsets.to(dtype), scopes, initial, factor)
        finite = are_finite(moved)
        grid = normalised_points(moved, scale)  # (B, 2, Z, sH, sW)
        del moved
        grid = grid.permute(0, 2, 3, 4, 1).reshape(batch * groups, scale * height, scale * width, 2)  # (B·Z, sH, sW, 2)
        source = x.contiguous().to(dtype).view(batch * groups, channels // groups, height, width)  # (B·Z, C/Z, H, W)
        out = sample_grid(source, grid, are_finite=finite, align_corners=False)
        return laid_out_as(x, out.view(batch, channels, scale * height, scale * width).to(x.dtype))


def _require(
    x: Tensor, offsets: Tensor, scopes: Tensor | None, initial: Tensor | None, groups: int, scale: int
) -> None:
    batch, channels, height, width = x.shape
    expected = (batch, 2 * groups * scale**2, height, width)
    if not groups or offsets.shape != expected:
        shape = f"({batch}, groups * {2 * scale**2}, {height}, {width})"
        raise Unsupported(f"offsets have shape {tuple(offsets.shape)}; expected {shape} for x {tuple(x.shape)}")
    if scopes is not None and scopes.shape != expected:
        raise Unsupported(f"scopes have shape {tuple(scopes.shape)}; expected that of the offsets, {expected}")
    if initial is not None and initial.numel() != offsets.shape[1]:
        raise Unsupported(f"initial has {initial.numel()} displacements; expected {offsets.shape[1]}, as the offsets")
    require_divisible(channels, groups, "the groups of the offsets")
