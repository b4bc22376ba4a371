"""Operators that the measurement of quality must survive, and one that is half an input pixel off."""

import sys

import torch.nn.functional as F

from upsamplers import Upsampler, register


@register("half-a-pixel-off")
class HalfAPixelOff(Upsampler):
    """Nearest, moved by one output pixel: half an input pixel at scale 2."""

    def forward(self, x):
        return F.pad(F.interpolate(x, scale_factor=2.0), (1, 0, 1, 0), mode="replicate")[..., :-1, :-1]


@register("raises")
class Raises(Upsampler):
    def forward(self, x):
        raise RuntimeError("planted failure")


@register("exits")
class Exits(Upsampler):
    def forward(self, x):
        sys.exit(3)
