"""A plug-in: torch's own bilinear interpolation, the same whatever changes in the operators that are compared."""

import torch

import upsamplers

NAME = "yardstick"


def _build(channels: int, scale: int) -> torch.nn.Module:
    return torch.nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=False)


upsamplers.register_module(NAME, _build)
