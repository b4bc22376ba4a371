"""ResNet-50 with the feature pyramid of Faster R-CNN (Lin et al., CVPR 2017), as in the paper's Table 6: four stages.

As in mmdetection's FPN_CARAFE, a 3x3 convolution of stride 2 makes a fifth level of C5 before the top-down path begins:
four x2 stages of 256 channels lead from P6 to P2, each guided by the lateral of the level that it upsamples to.

Proposals and boxes are left out: one 1x1 classifier of 80 classes, shared by all levels, replaces the detection heads.
Backbone and neck have 32,161,344 parameters; mmdetection's detector, with its RPN (593,935) and its box head
(14,306,705), 47,061,984, of which its frozen stem and first stage leave 46,836,640 to train: the published 46.8 M.
Nothing is frozen here.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from transformers import ResNetBackbone, ResNetConfig

from upsampler_bench.case import IMAGE_CHANNELS
from upsampler_bench.models import MakeUpsampler

# A step normalises over more than one pixel at stride 32.
MIN_SIDE = 33
CHANNELS = 256
CLASSES = 80
WIDTHS = (256, 512, 1024, 2048)
STAGES = ((CHANNELS, CHANNELS),) * 4
PARAMETERS = 32_181_904
SCORES = tuple((CLASSES, stride) for stride in (4, 8, 16, 32, 64))


class TopDown(nn.Module):
    """One step of the top-down path: the coarser level, upsampled, is added to the lateral of the finer one."""

    def __init__(self, make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        self.upsampler = make_upsampler(CHANNELS, CHANNELS)

    def forward(self, coarser: Tensor, lateral: Tensor) -> Tensor:
        """The coarser level (B, 256, H, W) and a lateral (B, 256, 2H, 2W) -> (B, 256, 2H, 2W)."""
        return lateral + self.upsampler.upsample_to(coarser, lateral)


class FeaturePyramid(nn.Module):
    """The neck: laterals of all levels, a top-down path, and a 3x3 convolution of each level.

    Args:
        make_upsampler: makes the stage of each step.
        has_coarser: whether a level at half the size of C5 comes on top of the path, and with it one more step.
    """

    def __init__(self, make_upsampler: MakeUpsampler, *, has_coarser: bool) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, CHANNELS, 1) for width in WIDTHS)
        self.coarser = nn.Conv2d(WIDTHS[-1], CHANNELS, 3, stride=2, padding=1) if has_coarser else None
        count = len(WIDTHS) + has_coarser
        self.steps = nn.ModuleList(TopDown(make_upsampler) for _ in range(count - 1))  # from coarse to fine
        self.outputs = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(count))

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """C2 to C5 (B, 256 · 2^i, H / 2^i, W / 2^i) -> P2 to P5 or P6 (B, 256, H / 2^i, W / 2^i)."""
        laterals = [lateral(feature) for lateral, feature in zip(self.laterals, features, strict=True)]
        if self.coarser is not None:
            laterals.append(self.coarser(features[-1]))
        levels = [laterals.pop()]
        for step, lateral in zip(self.steps, laterals[::-1], strict=True):
            levels.append(step(levels[-1], lateral))
        return tuple(output(level) for output, level in zip(self.outputs, levels[::-1], strict=True))


class Pyramid(nn.Module):
    """ResNet-50 and its feature pyramid: an image (B, 3, H, W) -> levels (B, 256, H / 2^i, W / 2^i), i from 2."""

    def __init__(self, make_upsampler: MakeUpsampler, *, has_coarser: bool) -> None:
        super().__init__()
        stages = [f"stage{number}" for number, _ in enumerate(WIDTHS, 1)]
        config = ResNetConfig(num_channels=IMAGE_CHANNELS, hidden_sizes=list(WIDTHS), depths=[3, 4, 6, 3])
        config.out_features = stages
        self.backbone = ResNetBackbone(config)
        self.neck = FeaturePyramid(make_upsampler, has_coarser=has_coarser)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """The levels, from fine to coarse."""
        levels: tuple[Tensor, ...] = self.neck(self.backbone(image, return_dict=True).feature_maps)
        return levels


class Detector(nn.Module):
    """The whole model: an image (B, 3, H, W) -> dense scores (B, 80, H / 2^i, W / 2^i), i from 2 to 6."""

    def __init__(self, make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        self.pyramid = Pyramid(make_upsampler, has_coarser=True)
        self.classifier = nn.Conv2d(CHANNELS, CLASSES, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Scores of each class at each level, from fine to coarse."""
        return tuple(self.classifier(level) for level in self.pyramid(image))


build = Detector  # with random weights: nothing is downloaded
