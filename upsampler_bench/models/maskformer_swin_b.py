"""MaskFormer with Swin-B (Cheng et al., NeurIPS 2021), as in the paper's Table 5: three stages in its pixel decoder.

The pixel decoder is a feature pyramid of 256 channels; each of its three layers resizes the coarser level to the
projected encoder feature of the finer one, which is the guide of the stage. Scores are those of semantic inference
(section 3.4): the masks of 100 queries, weighted by their classes. The loss of the original, which matches queries with
segments, is left out, and so are the packages that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from transformers import DetrConfig, MaskFormerConfig, MaskFormerModel, SwinConfig
from transformers.models.maskformer.modeling_maskformer import MaskFormerFPNLayer, MaskformerMLPPredictionHead

from upsampler_bench.models import MakeUpsampler

MIN_SIDE = 1
CHANNELS = 256
CLASSES = 150
QUERIES = 100
STAGES = ((CHANNELS, CHANNELS),) * 3
PARAMETERS = 101_829_391
SCORES = ((CLASSES, 4),)


class PyramidLayer(nn.Module):
    """A layer of the pixel decoder with its own submodules, and a x2 stage instead of its resize."""

    def __init__(self, layer: MaskFormerFPNLayer, make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        self.proj, self.block = layer.proj, layer.block
        self.upsampler = make_upsampler(CHANNELS, CHANNELS)

    def forward(self, coarser: Tensor, feature: Tensor) -> Tensor:
        """The coarser level (B, 256, H, W) and an encoder feature (B, C_i, 2H, 2W) -> (B, 256, 2H, 2W)."""
        lateral = self.proj(feature)
        out: Tensor = self.block(lateral + self.upsampler.upsample_to(coarser, lateral))
        return out


class Segmenter(nn.Module):
    """The whole model: an image (B, 3, H, W) -> scores (B, 150, H / 4, W / 4)."""

    def __init__(self, make_upsampler: MakeUpsampler) -> None:
        super().__init__()
        self.model = MaskFormerModel(_config())
        pixels = self.model.pixel_level_module
        # The norm of the backbone's pooled output as a classifier is not used.
        pixels.encoder.model.layernorm = nn.Identity()
        pyramid = pixels.decoder.fpn
        layers = cast(Iterable[MaskFormerFPNLayer], pyramid.layers)
        pyramid.layers = nn.Sequential(*(PyramidLayer(layer, make_upsampler) for layer in layers))
        self.classifier = nn.Linear(CHANNELS, CLASSES + 1)
        self.mask_embedder = MaskformerMLPPredictionHead(CHANNELS, CHANNELS, CHANNELS)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of each class: over all queries, the sum of its probability times that of a pixel in the mask."""
        outputs = self.model(image, return_dict=True)
        queries = outputs.transformer_decoder_last_hidden_state  # (B, 100, 256)
        # The last class means that the query matches no object.
        classes = self.classifier(queries).softmax(-1)[..., :-1]  # (B, 100, 150)
        pixels = outputs.pixel_decoder_last_hidden_state  # (B, 256, H / 4, W / 4)
        masks = torch.einsum("bqc,bchw->bqhw", self.mask_embedder(queries), pixels).sigmoid()
        return torch.einsum("bqk,bqhw->bkhw", classes, masks)


build = Segmenter  # with random weights: nothing is downloaded


def _config() -> MaskFormerConfig:
    backbone = SwinConfig(
        embed_dim=128,
        depths=[2, 2, 18, 2],
        num_heads=[4, 8, 16, 32],
        window_size=12,
        image_size=384,
        drop_path_rate=0.3,
    )
    backbone.out_features = [f"stage{number}" for number, _ in enumerate(backbone.depths, 1)]
    decoder = DetrConfig(d_model=CHANNELS, num_queries=QUERIES, decoder_layers=6)
    return MaskFormerConfig(
        backbone_config=backbone, decoder_config=decoder, fpn_feature_size=CHANNELS, mask_feature_size=CHANNELS
    )
