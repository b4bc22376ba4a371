"""The weights of a window from logits, in PyTorch operations."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from upsamplers.functional._torch.pixel_shuffle import pixel_shuffle
from upsamplers.functional._torch.stage import stage


def window_weights(
    logits: Tensor,
    kernel: int,
    *,
    groups: int,
    scale: int,
    is_shuffled: bool,
    normalize: str | None,
    shared: Tensor | None,
) -> Tensor:
    """Logits, or weights, as weights (B, Zk², sH, sW); see `reassemble`.

    Args:
        logits: (B, Zk²s², H, W), or (B, Zk², sH, sW) where `is_shuffled`.
        kernel, groups, scale: k, Z and s.
        is_shuffled: whether the logits are after their pixel shuffle.
        normalize: "softmax", "sigmoid-softmax" or None.
        shared: (B, Zk², H, W), added to the logits of all s² output pixels of an input pixel; or None.
    """
    with stage("softmax"):
        if not is_shuffled:
            logits = pixel_shuffle(logits, scale)
        if shared is not None:
            logits = logits + F.interpolate(shared, scale_factor=float(scale), mode="nearest")
        if normalize is None:
            return logits
        if normalize == "sigmoid-softmax":
            logits = logits.sigmoid()
        by_group: Tensor = logits if groups == 1 else logits.unflatten(1, (groups, kernel**2))
        weights = by_group.softmax(-3)
        return weights if groups == 1 else weights.flatten(1, 2)
