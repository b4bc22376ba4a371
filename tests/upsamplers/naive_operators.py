"""The guided and parameter-free operators once more, as their papers write them: every window copied out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

State = Mapping[str, Tensor]


def windows(x: Tensor, kernel: int, scale: int, mode: str = "constant") -> Tensor:
    """What each output pixel sees: (B, C, k², sH, sW)."""
    batch, channels, height, width = x.shape
    seen = F.unfold(F.pad(x, (kernel // 2,) * 4, mode=mode), kernel).view(batch, -1, height, width)
    return F.interpolate(seen, scale_factor=scale).view(batch, channels, kernel**2, scale * height, scale * width)


def reassembled(x: Tensor, weights: Tensor, scale: int, mode: str = "constant", groups: int = 1) -> Tensor:
    weights = weights.unflatten(1, (groups, 1, -1))  # (B, Z, 1, k², sH, sW)
    seen = windows(x, int(weights.shape[3] ** 0.5), scale, mode).unflatten(1, (groups, -1))
    return (seen * weights).sum(3).flatten(1, 2)


def bilinear_reads(image: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """An image (B, C, H, W) at positions (B, sH, sW) in its pixels, corner by corner, zero outside: (B, C, sH, sW)."""
    batch = torch.arange(len(image)).view(-1, 1, 1)
    total = torch.zeros((), dtype=image.dtype)
    for row in (down.floor(), down.floor() + 1):
        for column in (across.floor(), across.floor() + 1):
            is_inside = (row >= 0) & (row < image.shape[2]) & (column >= 0) & (column < image.shape[3])
            i, j = row.long().clamp(0, image.shape[2] - 1), column.long().clamp(0, image.shape[3] - 1)
            weight = (1 - (down - row).abs()) * (1 - (across - column).abs()) * is_inside
            total = total + weight.unsqueeze(1) * image[batch, :, i, j].permute(0, 3, 1, 2)
    return total


def max_unpool(state: State, x: Tensor, guide: Tensor, scale: int) -> Tensor:
    indices = F.max_pool2d(guide.detach(), scale, return_indices=True)[1]
    return F.max_unpool2d(x, indices, scale)


def indexnet(state: State, x: Tensor, guide: Tensor, scale: int) -> Tensor:
    hidden = F.conv2d(guide, state["indexnet.0.weight"], stride=2, padding=1)
    mean, var = state["indexnet.1.running_mean"], state["indexnet.1.running_var"]
    normed = (hidden - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
    hidden = (normed * state["indexnet.1.weight"][:, None, None] + state["indexnet.1.bias"][:, None, None]).clamp(0, 6)
    index = F.pixel_shuffle(F.conv2d(hidden, state["indexnet.3.weight"]).sigmoid(), 2)
    return index * F.interpolate(x, scale_factor=2)


def a2u(state: State, x: Tensor, guide: Tensor, scale: int) -> Tensor:
    own = {key.removeprefix("kernel_gen."): value for key, value in state.items()}
    pooled = F.adaptive_avg_pool2d(guide, 6)
    features = []
    for which, norm in (("bconv_U.1", "bnu.0"), ("bconv_V.1", "bnv.0")):
        filters = F.conv2d(pooled, own[f"{which}.weight"], own[f"{which}.bias"])
        seen = F.unfold(guide, 6, padding=2, stride=2).view(*guide.shape[:2], 36, *x.shape[2:])
        filtered = (seen * filters.view(-1, 1, 36, 1, 1)).sum(2)
        features.append(F.leaky_relu(F.group_norm(filtered, 32, own[f"{norm}.weight"], own[f"{norm}.bias"])))
    affinity = (features[0] * features[1]).sum(1, keepdim=True) / guide.shape[1] ** 0.5
    spread = F.conv2d(guide.mean((2, 3), keepdim=True), own["bconv_UP.1.weight"], own["bconv_UP.1.bias"])
    return reassembled(x, F.pixel_shuffle(spread * affinity, 2).sigmoid().softmax(1), 2)


def fade(state: State, x: Tensor, guide: Tensor, scale: int) -> Tensor:
    own = {key.removeprefix("ker_generator."): value for key, value in state.items()}
    encoder = own["content_encoder.weight"], own["content_encoder.bias"]
    groups = own["compressor_en.weight"].shape[0] // encoder[0].shape[1]
    fine = F.conv2d(guide, own["compressor_en.weight"], own["compressor_en.bias"])
    fine = F.conv2d(fine, *encoder, padding=1, groups=groups)
    coarse = F.conv2d(F.conv2d(x, own["compressor_de.weight"]), *encoder, padding=1, groups=groups)
    out = reassembled(x, (fine + F.interpolate(coarse, scale_factor=scale)).softmax(1), scale)
    if "gate_generator.conv.weight" not in state:
        return out
    gate = F.conv2d(x, state["gate_generator.conv.weight"], state["gate_generator.conv.bias"])
    gate = F.interpolate(gate, scale_factor=scale).sigmoid()
    return gate * guide + (1 - gate) * out


def sapa(state: State, x: Tensor, guide: Tensor, scale: int, up_kernel: int = 5) -> Tensor:
    query = F.group_norm(guide, 32, state["norm_y.weight"], state["norm_y.bias"])
    query = F.conv2d(query, state["q.weight"], state["q.bias"])
    key = F.group_norm(x, 32, state["norm_x.weight"], state["norm_x.bias"])
    key = F.conv2d(key, state["k.weight"], state["k.bias"])
    logits = (windows(key, up_kernel, scale) * query.unsqueeze(2)).sum(1)
    return reassembled(x, logits.softmax(1), scale)


def sierra(state: State, x: Tensor, scale: int, up_kernel: int = 3) -> Tensor:
    mean = x.mean(1, keepdim=True)
    gradient = 1 / ((windows(mean, up_kernel, 1)[:, 0] - mean) ** 2 + 0.2)  # (B, k², H, W)
    logits = torch.zeros(x.shape[0], up_kernel**2, scale * x.shape[2], scale * x.shape[3], dtype=x.dtype)
    for tap in range(up_kernel**2):
        down, across = tap // up_kernel - up_kernel // 2, tap % up_kernel - up_kernel // 2
        for a in range(scale):
            for b in range(scale):
                row, column = (a - (scale - 1) / 2) / scale, (b - (scale - 1) / 2) / scale
                distance = 1 / ((row - down) ** 2 + (column - across) ** 2 + 0.2)
                logits[:, tap, a::scale, b::scale] = gradient[:, tap] * distance
    return reassembled(x, logits.softmax(1), scale)


def jbu(state: State, x: Tensor, guide: Tensor, scale: int, radius: int = 3) -> Tensor:
    def projected(name: str, y: Tensor) -> Tensor:
        y = F.gelu(F.conv2d(y, state[f"{name}.0.weight"], state[f"{name}.0.bias"]))
        return F.conv2d(y, state[f"{name}.3.weight"], state[f"{name}.3.bias"])

    kernel = 2 * radius + 1
    own = projected("range_proj", guide)
    logits = (windows(own, kernel, 1, "reflect") * own.unsqueeze(2)).sum(1)
    steps = torch.linspace(-1, 1, kernel, dtype=x.dtype)
    squares = (steps[:, None] ** 2 + steps**2).view(1, -1, 1, 1)
    weights = (state["range_temp"].exp().clamp(1e-4, 1e4) * logits).softmax(1)
    weights = weights * torch.exp(-squares / (2 * state["sigma_spatial"] ** 2))
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-7)
    weights = weights + 0.1 * projected("fixup_proj", torch.cat((weights, guide), 1))
    smooth = F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)
    return reassembled(smooth, weights, 1, "reflect")
