"""Which layers a product with their weights can stand in for."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.module import _has_any_global_hook

PLAIN = (
    nn.BatchNorm2d, nn.Conv2d, nn.Dropout2d, nn.GELU, nn.GroupNorm, nn.LayerNorm, nn.ReLU, nn.RMSNorm, nn.Sequential,
    nn.SiLU, nn.Upsample,
)  # fmt: skip


def is_plain(*layers: nn.Module) -> bool:
    """Whether calling each of these layers does what its weights say and nothing else.

    A hook, a parametrisation (pruning, weight norm, LoRA) or a layer put in its place wants to be called.
    """
    if _has_any_global_hook():
        return False
    for layer in layers:
        if type(layer) is nn.Sequential and not is_plain(*layer):
            return False
        if type(layer) not in PLAIN or has_hooks(layer) or "forward" in vars(layer):
            return False
    return True


def has_hooks(layer: nn.Module) -> bool:
    """Whether a call of the layer calls hooks of its own."""
    hooks = layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks
    return any(hooks)
