"""The DySample series as it is published, defects included: the reference of tests and of a benchmark, not for use.

It differs from ours in how, not in what: the grid of pixel centres is built on the host at every call and cast to x's
dtype, the sampling points are a 5-D tensor, and style "pl" shuffles x itself before it projects.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from upsamplers.operators.dysample import DySample


def published(module: DySample, x: Tensor) -> Tensor:
    """What the published formulation gives with a module's weights and options: (B, C, H, W) -> (B, C, sH, sW)."""
    batch, _, height, width = x.shape
    points = published_points(module, x).flatten(0, 1)  # (B·Z, sH, sW, 2)
    source = x.reshape(batch * module.groups, -1, height, width)
    out = F.grid_sample(source, points, mode="bilinear", padding_mode="border", align_corners=False)
    return out.view(batch, -1, module.scale * height, module.scale * width)


def published_points(module: DySample, x: Tensor) -> Tensor:
    """Where the published formulation samples, in [-1, 1]: (B, Z, sH, sW, 2), in x's dtype."""
    batch, _, height, width = x.shape
    displacement = published_displacement(module, x).view(batch, 2, -1, height, width)
    columns, rows = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    centres = torch.stack(torch.meshgrid(columns, rows, indexing="ij")).transpose(1, 2)  # (2, H, W)
    centres = centres.unsqueeze(1).unsqueeze(0).type(x.dtype).to(x.device)  # (1, 2, 1, H, W)
    size = torch.tensor([width, height], dtype=x.dtype, device=x.device).view(1, 2, 1, 1, 1)
    points = 2 * (centres + displacement) / size - 1  # (B, 2, Zs², H, W)
    points = F.pixel_shuffle(points.reshape(batch, -1, height, width), module.scale)  # (B, 2Z, sH, sW)
    points = points.view(batch, 2, -1, module.scale * height, module.scale * width)
    return points.permute(0, 2, 3, 4, 1).contiguous()


def published_displacement(module: DySample, x: Tensor) -> Tensor:
    """How far each point is from the centre of its input pixel: (B, 2Zs², H, W), in input pixels."""
    source = F.pixel_shuffle(x, module.scale) if module.style == "pl" else x
    offset = F.conv2d(source, module.offset.weight, module.offset.bias)
    if module.scope is None:
        offset = offset * module.scope_factor
    else:
        scope = F.conv2d(source, module.scope.weight, module.scope.bias)
        offset = offset * (scope.sigmoid() * module.scope_factor)
    if module.style == "pl":
        offset = F.pixel_unshuffle(offset, module.scale)
    return offset + module.init_pos
