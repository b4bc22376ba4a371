"""What an operator must be to stand in a place, from what was seen there or from what the module says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from upsamplers.base import Upsampler
from upsamplers.surgery.trace import Seen


@dataclass(frozen=True, slots=True)
class Place:
    """What an operator must be.

    Attributes:
        channels: C.
        scale: s.
        dtype, device: of x; None: not known.
        note: what is worth saying of the replacement; empty: nothing.
    """

    channels: int
    scale: int
    dtype: torch.dtype | None = None
    device: torch.device | None = None
    note: str = ""


def seen_place(seen: Sequence[Seen], subject: str) -> Place | str:
    """The one place that every upsampling seen there agrees on, or why there is none.

    Args:
        seen: at least one.
        subject: what was called, for the note on one that is called several times.
    """
    for one in seen:
        if reason := why_not(one):
            return reason
    sizes = sorted({(one.shape[1], _scale(one)) for one in seen})
    if len(sizes) > 1:
        listed = ", ".join(f"{channels} channels at scale {scale}" for channels, scale in sizes)
        return f"{subject} several times a forward, with {listed}; one operator has one of each"
    shared = (
        f"{subject[0].upper()}{subject[1:]} {len(seen)} times a forward: one operator, with one set of weights."
        if len(seen) > 1
        else ""
    )
    note = " ".join(filter(None, (shared, seen[0].note)))
    return Place(*sizes[0], seen[0].dtype, seen[0].device, note)


def why_not(seen: Seen) -> str | None:
    """Why no operator can do what was seen, or None."""
    if seen.problem:
        return seen.problem
    if len(seen.shape) != 4 or len(seen.made) != 4:
        return f"it takes {seen.shape} to {seen.made}; an operator takes (B, C, H, W)"
    if not seen.dtype.is_floating_point:
        return f"it takes {seen.dtype}; an operator takes floating features"
    if seen.shape[1] != seen.made[1]:
        return f"it turns {seen.shape[1]} channels into {seen.made[1]}; an operator keeps them"
    if min(seen.shape[2:]) < 1 or seen.shape[2:] == seen.made[2:]:
        return f"it keeps the size {_size(seen.shape)}"
    if _scale(seen) < 1:
        return f"{_size(seen.made)} is not a whole number of times {_size(seen.shape)}, the same for both sides"
    return None


def stated_place(module: nn.Module, channels: int | None) -> Place | str | None:
    """What a module says of itself without being called, or why no operator can stand in its place.

    Args:
        module: nn.Upsample, nn.ConvTranspose2d or an operator; of others nothing is known.
        channels: where the module has none of its own.

    Returns:
        None where an example is needed to tell.
    """
    if isinstance(module, Upsampler):
        return Place(module.channels, module.scale)
    if isinstance(module, nn.ConvTranspose2d):
        return _of_deconvolution(module)
    if isinstance(module, nn.Upsample) and module.scale_factor is not None and channels is not None:
        return _of_upsample(module, channels)
    return None


def _of_upsample(module: nn.Upsample, channels: int) -> Place | str:
    factor: Any = module.scale_factor
    pair: Any = factor if isinstance(factor, tuple) else (factor, factor)
    tall, wide = pair
    if tall != wide or tall % 1 or tall < 2:
        return f"scale_factor={factor} is no whole number from 2, the same for both sides"
    return Place(channels, int(tall))


def _of_deconvolution(module: nn.ConvTranspose2d) -> Place | str:
    if module.in_channels != module.out_channels:
        return f"it turns {module.in_channels} channels into {module.out_channels}; an operator keeps them"
    scale = module.stride[0]
    # A side of the output is s(H - 1) plus this.
    more = {
        module.dilation[side] * (module.kernel_size[side] - 1)
        + module.output_padding[side]
        + 1
        - 2 * int(module.padding[side])
        for side in (0, 1)
    }
    if set(module.stride) != {scale} or scale < 2 or more != {scale}:
        return f"its output is not {scale} times its input on both sides"
    return Place(module.in_channels, scale)


def _scale(seen: Seen) -> int:
    """The whole number that both sides grow by, or 0."""
    (height, width), (tall, wide) = seen.shape[2:], seen.made[2:]
    scale = tall // height
    return scale if scale > 1 and (tall, wide) == (scale * height, scale * width) else 0


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[2:]))
