"""Operators trained for a few seconds to bring scenes back to high resolution."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from _scene import CHANNELS, SCALE, Scenes, carried, random
from torch import Tensor

import upsamplers
from upsamplers import Upsampler

BATCH, SEED = 8, 0
# Steps and highest rate: softmaxed kernels want to be led slowly, sampling points to be pushed.
RECIPES = {
    "Carafe": (1000, 1e-3),
    "DySample": (1000, 2e-2),
    "Fade": (800, 2e-3),
    "JBU": (300, 1e-2),
    "LDAAQU": (300, 1e-2),
}
RECIPE = (400, 3e-3)


@functools.cache
def trained(name: str) -> Upsampler:
    """The operator at C = G = 64 and s = 2, trained on random scenes and ready to look at."""
    torch.manual_seed(SEED)
    module = upsamplers.create(name, CHANNELS, scale=SCALE)
    if list(module.parameters()):
        _train(module, *RECIPES.get(type(module).__name__, RECIPE))
    return module.eval().requires_grad_(False)


def upsampled(module: Upsampler, scenes: Scenes) -> Tensor:
    """The operator's features (B, C, sH, sW) of scenes."""
    out: Tensor = module(*inputs(module, scenes))
    return out


def inputs(module: Upsampler, scenes: Scenes) -> tuple[Tensor, ...]:
    """What the operator takes."""
    return (scenes.x, module.make_guide(scenes.guide)) if module.needs_guide else (scenes.x,)


def _train(module: Upsampler, steps: int, rate: float) -> None:
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps):
        scenes = random(BATCH, generator)
        loss = F.mse_loss(carried(upsampled(module, scenes)), scenes.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
