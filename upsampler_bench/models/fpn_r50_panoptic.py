"""Panoptic FPN on ResNet-50 (Kirillov et al., CVPR 2019), as in the paper's Table 8: three stages.

The feature pyramid of `fpn_r50` without its fifth level, and the semantic branch of the paper (section 3.1); the stages
under test are those of the top-down path alone, the branch resizes bilinearly. The instance branch is left out.
mmdetection's model has 46,027,110 parameters, the published 46.0 M: backbone and neck 26,852,416, the semantic branch
1,630,774, its RPN 593,935, its box head 14,306,705 and its mask head 2,643,280.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import torch.nn.functional as F
from torch import Tensor, nn

from upsampler_bench.models import MakeUpsampler
from upsampler_bench.models.fpn_r50 import CHANNELS, WIDTHS, Pyramid

# A step normalises over more than one pixel at stride 32.
MIN_SIDE = 33
INSIDE = 128
NORM_GROUPS = 32
CLASSES = 54  # COCO's 53 kinds of stuff, and one for all things
STAGES = ((CHANNELS, CHANNELS),) * 3
PARAMETERS = 28_483_190
SCORES = ((CLASSES, 4),)


class Raise(nn.Module):
    """Brings one level to the size of the finest by convolutions to 128 channels and bilinear steps of x2.

    Args:
        steps: how many; a level without steps is still convolved once.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_block(INSIDE if number else CHANNELS) for number in range(max(steps, 1)))

    def forward(self, x: Tensor, finer: Sequence[Tensor]) -> Tensor:
        """x (B, 256, H, W) and the levels of the sizes on the way, from coarse to fine -> (B, 128, sH, sW)."""
        for block, level in zip_longest(self.blocks, finer):
            x = block(x)
            if level is not None:
                x = F.interpolate(x, size=level.shape[-2:], mode="bilinear", align_corners=False)
        return x


class SemanticBranch(nn.Module):
    """Every level brought to the finest one's size, summed and classified."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList(Raise(steps) for steps, _ in enumerate(WIDTHS))
        self.classifier = nn.Conv2d(INSIDE, CLASSES, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """P2 to P5 (B, 256, H / 2^i, W / 2^i) -> scores (B, 54, H / 4, W / 4)."""
        raised = [branch(levels[steps], levels[:steps][::-1]) for steps, branch in enumerate(self.levels)]
        scores: Tensor = self.classifier(sum(raised))
        return scores


class PanopticFPN(nn.Module):
    """The whole model: an image (B, 3, H, W) -> scores (B, 54, H / 4, W / 4)."""

    def __init__(self, make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        self.pyramid = Pyramid(make_upsampler, has_coarser=False)
        self.semantic = SemanticBranch()

    def forward(self, image: Tensor) -> Tensor:
        """Scores of each kind of stuff, and of things."""
        scores: Tensor = self.semantic(self.pyramid(image))
        return scores


build = PanopticFPN  # with random weights: nothing is downloaded


def _block(channels: int) -> nn.Sequential:
    """(B, channels, H, W) -> (B, 128, H, W)."""
    convolution = nn.Conv2d(channels, INSIDE, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(NORM_GROUPS, INSIDE), nn.ReLU(inplace=True))
