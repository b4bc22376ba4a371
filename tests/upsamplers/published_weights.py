"""Weights as they are published, and what loading them did."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import upsamplers
from upsamplers import CheckpointError

HOST = {"backbone.conv1.weight": torch.zeros(8, 3, 7, 7), "bbox_head.fc.bias": torch.zeros(4)}


def published(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """The weights of a trained twin, under a host's names."""
    torch.manual_seed(1)
    return {
        f"{prefix}{name}": torch.randn_like(one) if name in dict(module.named_parameters()) else one.clone()
        for name, one in module.state_dict().items()
    }


def dysample(**options: Any) -> upsamplers.Upsampler:
    return upsamplers.create("dysample+", 16, **options)


def unchanged(module: nn.Module, checkpoint: Any, **arguments: Any) -> str:
    """What loading is refused with; the module keeps its weights."""
    before = {name: one.clone() for name, one in module.state_dict().items()}
    with pytest.raises(CheckpointError) as refusal:
        upsamplers.load_published(module, checkpoint, **arguments)
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
    return str(refusal.value)


def loaded(module: nn.Module, weights: dict[str, Tensor], prefix: str = "") -> bool:
    return all(torch.equal(one, weights[f"{prefix}{name}"]) for name, one in module.named_parameters())
