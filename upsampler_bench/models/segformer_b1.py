"""SegFormer-B1 (Xie et al., NeurIPS 2021) with six upsampling stages in its decoder, as in the paper's Table 4.

The decoder projects four encoder features to 256 channels. The original resizes three of them to a quarter of the image
at once; here the feature at 1/32 goes through three x2 stages, 1/16 through two and 1/8 through one; each stage is
guided by the projected feature of the size that it upsamples to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation
from transformers.models.segformer.modeling_segformer import SegformerDecodeHead

from upsampler_bench.models import MakeUpsampler

# Its first attention shrinks keys by an 8x8 convolution on a quarter of the image.
MIN_SIDE = 29
CHANNELS = 256
CLASSES = 150
STAGES = ((CHANNELS, CHANNELS),) * 6
PARAMETERS = 13_715_798
SCORES = ((CLASSES, 4),)


class CascadedHead(nn.Module):
    """SegFormer's decode head with its own submodules, and a cascade of x2 stages instead of each resize."""

    def __init__(self, head: SegformerDecodeHead, make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        self.head = head
        count = len(head.linear_projections)
        self._stages = [[make_upsampler(CHANNELS, CHANNELS) for _ in range(level)] for level in range(count)]
        self.cascades = nn.ModuleList(nn.ModuleList(stages) for stages in self._stages)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Encoder features (B, C_i, H / 2^i, W / 2^i) from fine to coarse -> logits (B, K, H, W)."""
        pairs = zip(features, self.head.linear_projections, strict=True)
        projected = [_projected(feature, projection) for feature, projection in pairs]
        raised = [self._raise(level, projected) for level in range(len(projected))]
        fused = self.head.linear_fuse(torch.cat(raised[::-1], dim=1))
        fused = self.head.dropout(self.head.activation(self.head.batch_norm(fused)))
        scores: Tensor = self.head.classifier(fused)
        return scores

    def _raise(self, level: int, projected: list[Tensor]) -> Tensor:
        x = projected[level]
        for stage, finer in zip(self._stages[level], projected[:level][::-1], strict=True):
            x = stage.upsample_to(x, finer)
        return x


class Segmenter(nn.Module):
    """The whole model: an image (B, 3, H, W) -> scores (B, 150, H / 4, W / 4)."""

    def __init__(self, make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        model = SegformerForSemanticSegmentation(_config())
        self.encoder = model.segformer
        self.decode_head = CascadedHead(model.decode_head, make_upsampler)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of each class."""
        outputs = self.encoder(image, output_hidden_states=True, return_dict=True)
        scores: Tensor = self.decode_head(list(outputs.hidden_states))
        return scores


build = Segmenter  # with random weights: nothing is downloaded


def _config() -> SegformerConfig:
    config = SegformerConfig(
        depths=[2, 2, 2, 2],
        hidden_sizes=[64, 128, 320, 512],
        num_attention_heads=[1, 2, 5, 8],
        sr_ratios=[8, 4, 2, 1],
        decoder_hidden_size=CHANNELS,
    )
    config.num_labels = CLASSES
    return config


def _projected(feature: Tensor, projection: nn.Module) -> Tensor:
    """A feature (B, C_i, h, w) at the decoder's channels (B, 256, h, w)."""
    height, width = feature.shape[-2:]
    tokens: Tensor = projection(feature)  # (B, hw, 256)
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, height, width)
