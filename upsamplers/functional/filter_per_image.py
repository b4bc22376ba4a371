"""Filtering every channel of an image with filters that belong to that image alone."""

from __future__ import annotations

from torch import Tensor

from upsamplers.errors import Unsupported
from upsamplers.functional._torch.image_filters import ImageFilters, shifted_filters
from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.stage import stage
from upsamplers.functional.backend import uses_triton


def filter_per_image(y: Tensor, filters: Tensor, *, backend: str = "auto") -> tuple[Tensor, ...]:
    """Every channel of each image filtered with stride 2 by that image's own filters (A2U, CVPR 2021, section 4.2).

    Backward reads y again and makes one gradient of it for all filters. A program that is being compiled, exported or
    traced gets products of shifted views: exporters want the groups of a convolution fixed, which here grow with the
    batch.

    Args:
        y: (B, G, 2H, 2W).
        filters: (B, N, k, k), k even; cast to y's dtype.
        backend: as in `upsamplers.create`; Triton takes two filters of odd k / 2 (as k = 6), others run on torch.

    Returns:
        N of (B, G, H, W).

    Raises:
        Unsupported: the sides of y or of the filters are odd, the filters do not fit y, or the backend cannot run.
    """
    with stage("filtering"):
        filters = filters.to(y.dtype)
        side = filters.shape[3]
        fused = filters.shape[1] == 2 and side % 4 == 2 and uses_triton(backend, y, filters, kernel=side)
        if fused or not needs_plain_operations():
            _require(y, filters)
        if fused:
            from upsamplers.functional._triton import image_filters, launch

            pair: tuple[Tensor, Tensor] = image_filters.filter_per_image(launch.dense(y), filters)
            return pair
        if needs_plain_operations():
            return shifted_filters(y, filters)
        filtered: tuple[Tensor, ...] = ImageFilters.apply(y, filters)  # type: ignore[no-untyped-call]
        return filtered


def _require(y: Tensor, filters: Tensor) -> None:
    """Refuses what does not fit: kernels would read whatever lies behind a tensor that is too small."""
    sides = filters.shape[2:]
    if len(filters) != len(y) or sides[0] != sides[1] or any(side % 2 for side in (*sides, *y.shape[2:])):
        raise Unsupported(
            f"expected an image of even sides and filters ({len(y)}, N, k, k) of an even k, not images "
            f"{tuple(y.shape)} and filters {tuple(filters.shape)}"
        )
