"""Filter responses: maps of any number of channels described by one set of filters, a few rows of pixels at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.plain_operations import needs_plain_operations
from upsamplers.functional._torch.precision import coordinate_dtype, without_autocast
from upsamplers.functional._torch.recomputation import recomputed

# Responses of a band: 8 MiB on the CPU, 64 MiB on a GPU.
MOST_RESPONSES_CPU, MOST_RESPONSES_GPU = 2 * 2**20, 16 * 2**20


def filter_responses(x: Tensor, filters: Tensor) -> Tensor:
    """The mean of softmaxes of each channel's correlations with each filter, less 1/E (AnyUp, ICLR 2026).

    r[c, m] is the correlation of channel c with filter m, zero outside x, over the number of taps inside. The C · E
    responses of a pixel, numbered c · E + m, are cut into E runs of C numbers; the softmax is taken over the runs, and
    the mean within each. (That is not the softmax over the filters that the paper writes, but what its weights were
    trained with.) The softmaxes differ little from 1/E; only the difference is exact to rounding, and a norm that comes
    next takes the same from it.

    Responses are made for a band of rows at a time, in float32 at least, and made again in backward.

    Args:
        x: (B, C, H, W).
        filters: (E, 1, k, k), k odd.

    Returns:
        (B, E, H, W) in x's dtype.
    """
    dtype, kernel = coordinate_dtype(x), filters.shape[-1]
    padded = F.pad(x.to(dtype), (kernel // 2,) * 4)
    inside = F.pad(torch.full_like(x[:1, :1], kernel**2, dtype=dtype), (kernel // 2,) * 4)
    with without_autocast(x):
        filters = filters.to(dtype)
        count = F.avg_pool2d(inside, kernel, 1)  # taps inside x: (1, 1, H, W)
        bands = [
            recomputed(_responses, padded[:, :, rows.start : rows.stop + kernel - 1], filters, count[:, :, rows])
            for rows in _bands(x, filters)
        ]
    return torch.cat(bands, dim=2).to(x.dtype)


def _responses(band: Tensor, filters: Tensor, count: Tensor) -> Tensor:
    """A band of x with its border (B, C, rows + k - 1, W + k - 1) -> (B, E, rows, W)."""
    batch, channels = band.shape[:2]
    responses = F.conv2d(band.reshape(-1, 1, *band.shape[2:]), filters) / count  # (B · C, E, rows, W)
    runs = responses.reshape(batch, len(filters), channels, *responses.shape[2:])
    # With a = exp(r) - 1 the softmax is 1/E + (a - ā) / (E + Eā).
    excess = torch.expm1(runs - runs.detach().amax(1, keepdim=True))
    mean = excess.mean(1, keepdim=True)
    return ((excess - mean) / (1 + mean)).mean(2) / len(filters)


def _bands(x: Tensor, filters: Tensor) -> Iterator[slice]:
    """Into which rows x is cut; a program of any size takes all at once."""
    if needs_plain_operations():
        yield slice(0, x.shape[2])
        return
    most = MOST_RESPONSES_CPU if x.device.type == "cpu" else MOST_RESPONSES_GPU
    rows = max(1, most // (max(1, len(x)) * x.shape[1] * len(filters) * x.shape[3]))
    for first in range(0, x.shape[2], rows):
        yield slice(first, min(first + rows, x.shape[2]))
