"""Filtering every channel of an image with filters that belong to that image alone."""

from __future__ import annotations

from torch import Tensor

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
        Unsupported: the backend cannot take these tensors.
    """
    with stage("filtering"):
        filters = filters.to(y.dtype)
        side = filters.shape[3]
        if filters.shape[1] == 2 and side % 4 == 2 and uses_triton(backend, y, filters, kernel=side):
            from upsamplers.functional._triton import image_filters, launch

            pair: tuple[Tensor, Tensor] = image_filters.filter_per_image(launch.dense(y), filters)
            return pair
        if needs_plain_operations():
            return shifted_filters(y, filters)
        filtered: tuple[Tensor, ...] = ImageFilters.apply(y, filters)  # type: ignore[no-untyped-call]
        return filtered
