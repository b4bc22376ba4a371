"""When a layer's weights may be read in the place of calling it."""

from __future__ import annotations

from torch import nn


def is_plain(*layers: nn.Module) -> bool:
    """Whether calling these layers does what their class does and no more: no hooks, pruning, parametrisation or LoRA."""
    return all(
        type(layer) in (nn.Conv2d, nn.GroupNorm, nn.Sequential)
        and not (layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer))
        for layer in layers
    )
