"""Filter responses: maps of any number of channels described by one set of filters."""

from __future__ import annotations

from torch import Tensor

from upsamplers.functional._torch.response_bands import banded_responses


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
    return banded_responses(x, filters)
