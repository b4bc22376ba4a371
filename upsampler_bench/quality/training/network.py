"""The network of the trained measurements: an encoder-decoder whose only difference is the upsampler at three stages.

Encoder features reach the decoder through the upsamplers alone: there are no other skips, so what an unguided one has
lost at an edge is lost.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import upsamplers
from upsampler_bench.case import IMAGE_CHANNELS
from upsamplers import Upsampler

# The fewest that every operator takes: SAPA and A2U normalise x and the guide in 32 groups.
CHANNELS = 32
STAGES = 3
# The sides of an image must be multiples of it.
STRIDE = 2**STAGES


class Network(nn.Module):
    """An image (B, I, H, W) -> scores or grey values (B, K, H, W).

    The encoder has a block at the image's size and one after each of three 2x2 max poolings, as max unpooling needs
    it; the decoder has an upsampler and a block three times, then a 1x1 convolution. A block is a 3x3 convolution to
    32 channels, batch norm and ReLU.

    Args:
        image_channels: I.
        outputs: K.
    """

    def __init__(self, image_channels: int, outputs: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([_block(image_channels), *(_block(CHANNELS) for _ in range(STAGES))])
        self.decoder = nn.ModuleList(_block(CHANNELS) for _ in range(STAGES))
        self.head = nn.Conv2d(CHANNELS, outputs, 1)
        self.upsamplers = nn.ModuleList()

    def forward(self, image: Tensor) -> Tensor:
        """Scores at the image's size."""
        x, features = image, []
        for number, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if number else x)  # (B, 32, H / 2^number, W / 2^number)
            features.append(x)
        for upsampler, block, feature in zip(self.upsamplers, self.decoder, features[-2::-1], strict=True):
            assert isinstance(upsampler, Upsampler)
            if upsampler.guide_is_image:
                feature = F.adaptive_avg_pool2d(image, feature.shape[-2:]).expand(-1, IMAGE_CHANNELS, -1, -1)
            x = block(upsampler.upsample_to(x, feature))  # (B, 32, 2H, 2W)
        scores: Tensor = self.head(x)
        return scores


def build(name: str, seed: int, *, image_channels: int, outputs: int) -> Network:
    """The network with an operator, from a seed alone: all but the operator's weights is the same for every operator.

    Args:
        name: of the operator.
        seed: of the weights; the operator's are drawn after all others, from the seed again.
        image_channels, outputs: see Network.

    Raises:
        upsamplers.UpsamplerError: there is no such operator, or it refuses the channels.
    """
    guide_channels = IMAGE_CHANNELS if upsamplers.get(name).cls.guide_is_image else CHANNELS
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(image_channels, outputs)
        torch.manual_seed(seed)
        for _ in range(STAGES):
            upsampler = upsamplers.create(name, CHANNELS, guide_channels=guide_channels, backend="torch")
            network.upsamplers.append(upsampler)
    return network


def _block(channels: int) -> nn.Sequential:
    """(B, channels, H, W) -> (B, 32, H, W)."""
    convolution = nn.Conv2d(channels, CHANNELS, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True))
