"""DepthFormer with Swin-T (Li et al., Machine Intelligence Research 2023; arXiv 2203.14211), as in the paper's Table 9.

Four stages lead from 1/32 of the image to 1/2: each upsamples x to the size of the next encoder feature, which has
fewer channels, concatenates both and convolves them to the feature's channels. The feature at 1/2 comes from a
convolutional stem next to the transformer. The HAHI neck between encoder and decoder, which keeps sizes and channels,
is left out: 35,257,018 parameters, while the published model with its neck has 47.6 M.

The original regresses one depth per pixel; this model has scores of depth bins, so that all models share one loss of
scores (B, K, h, w).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from transformers import SwinBackbone, SwinConfig

from upsampler_bench.case import IMAGE_CHANNELS
from upsampler_bench.models import MakeUpsampler

# A step normalises over more than one pixel of each feature.
MIN_SIDE = 17
WIDTHS = (64, 96, 192, 384, 768)
BINS = 64
STAGES = tuple(pairwise(WIDTHS[::-1]))
PARAMETERS = 35_257_018
SCORES = ((BINS, 2),)


class Decode(nn.Module):
    """A stage of the decoder: x upsampled to an encoder feature, concatenated with it, convolved to its channels."""

    def __init__(self, channels: int, guide: int, make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        self.upsampler = make_upsampler(channels, guide)
        self.join = _convolution(channels + guide, guide)
        self.refine = _convolution(guide, guide)

    def forward(self, x: Tensor, feature: Tensor) -> Tensor:
        """x (B, C, H, W) and an encoder feature (B, G, 2H, 2W) -> (B, G, 2H, 2W)."""
        joined = torch.cat((self.upsampler.upsample_to(x, feature), feature), 1)  # (B, C + G, 2H, 2W)
        out: Tensor = self.refine(self.join(joined))
        return out


class DepthEstimator(nn.Module):
    """The whole model: an image (B, 3, H, W) -> scores (B, 64, H / 2, W / 2) of depth bins."""

    def __init__(self, make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(IMAGE_CHANNELS, WIDTHS[0], 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(inplace=True),
        )
        self.backbone = SwinBackbone(_config())
        # The norm of the backbone's output as a classifier is not used: the four features have norms of their own.
        self.backbone.swin.layernorm = nn.Identity()  # type: ignore[assignment]
        self.top = nn.Conv2d(WIDTHS[-1], WIDTHS[-1], 1)
        self.stages = nn.ModuleList(Decode(coarse, fine, make_upsampler) for coarse, fine in pairwise(WIDTHS[::-1]))
        self.classifier = nn.Conv2d(WIDTHS[0], BINS, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of each depth bin."""
        features = [self.stem(image), *self.backbone(image, return_dict=True).feature_maps]
        x = self.top(features.pop())
        for stage, feature in zip(self.stages, features[::-1], strict=True):
            x = stage(x, feature)
        scores: Tensor = self.classifier(x)
        return scores


build = DepthEstimator  # with random weights: nothing is downloaded


def _config() -> SwinConfig:
    config = SwinConfig(embed_dim=WIDTHS[1], depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7)
    config.out_features = [f"stage{number}" for number, _ in enumerate(WIDTHS[1:], 1)]
    return config


def _convolution(channels: int, out: int) -> nn.Sequential:
    """(B, channels, H, W) -> (B, out, H, W)."""
    convolution = nn.Conv2d(channels, out, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.LeakyReLU(inplace=True))
