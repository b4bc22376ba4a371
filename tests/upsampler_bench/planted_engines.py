"""A plug-in that adds the engines of `planted_backends` to the backends of its process, and an operator to export."""

from pathlib import Path

import torch

import upsamplers
from upsampler_bench import backends

FOLDER = str(Path(__file__).parent / "planted_backends")
if FOLDER not in backends.__path__:
    backends.__path__.append(FOLDER)


@upsamplers.register("users-own")
class UsersOwn(upsamplers.Upsampler):
    def __init__(self, channels, *, scale=2):
        super().__init__(channels, scale=scale)
        self.layer = torch.nn.ConvTranspose2d(channels, channels, scale, scale)

    def forward(self, x):
        return self.layer(x)


@upsamplers.register("reads-a-value")
class ReadsAValue(UsersOwn):
    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else self.layer(-x)
