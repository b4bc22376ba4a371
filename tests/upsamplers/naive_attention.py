"""JAFAR and AnyUp as their formulas read, with every weight of every pixel, for tests to compare with."""

import math

import torch
import torch.nn.functional as F


def group_norm(v, weight=None, bias=None):
    return F.group_norm(v, 8, weight, bias, 1e-5)


def pointwise(v, weight):
    return torch.einsum("bchw,ec->behw", v, weight.flatten(1))


def residuals(z, state, name, layers):
    for block in (1, 2):
        norm1, conv1, norm2, conv2 = (f"{name}.{block}.{layer}" for layer in layers)
        inner = F.silu(group_norm(z, state[norm1 + ".weight"], state[norm1 + ".bias"]))
        inner = pointwise(inner, state[conv1 + ".weight"])
        inner = F.silu(group_norm(inner, state[norm2 + ".weight"], state[norm2 + ".bias"]))
        z = z + pointwise(inner, state[conv2 + ".weight"])
    return z


def encoded(v, state, name, layers):
    return residuals(pointwise(v, state[name + ".0.weight"]), state, name, layers)


def turned(e, freqs):
    rows, columns = (torch.linspace(0, 1, side, dtype=e.dtype) for side in e.shape[2:])
    angle = rows[None, :, None] * freqs[0][:, None, None] + columns[None, None] * freqs[1][:, None, None]
    first, second = e.chunk(2, 1)
    return e * angle.cos() + torch.cat((-second, first), 1) * angle.sin()


def rms(v, weight):
    return v / (v.square().mean(1, keepdim=True) + torch.finfo(v.dtype).eps).sqrt() * weight[:, None, None]


def attended(query, key, x, heads, seen=None):
    """`seen` (sH, sW, H, W): which keys each output pixel sees."""
    total = 0
    for q, k in zip(query.chunk(heads, 1), key.chunk(heads, 1), strict=True):
        logits = torch.einsum("bdij,bdkl->bijkl", q, k) / math.sqrt(q.shape[1])
        if seen is not None:
            logits = logits.masked_fill(~seen, -torch.inf)
        total = total + logits.flatten(3).softmax(3).view(logits.shape)
    return torch.einsum("bijkl,bckl->bcij", total / heads, x)


def decoded(query, key, x, state, heads, seen=None):
    name = "cross_decode.cross_attn."
    query = F.conv2d(query, state["cross_decode.conv2d.weight"], padding=1)
    query, key = rms(query, state[name + "norm_q.weight"]), rms(key, state[name + "norm_k.weight"])
    name, channels = name + "attention.", query.shape[1]
    if name + "in_proj_weight" in state:
        to_query, to_key, _ = state[name + "in_proj_weight"].chunk(3)
    else:
        to_query, to_key = state[name + "q_proj_weight"], state[name + "k_proj_weight"]
    biases = state[name + "in_proj_bias"][:, None, None].split(channels)
    return attended(pointwise(query, to_query) + biases[0], pointwise(key, to_key) + biases[1], x, heads, seen)


def normalised(x):
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)


def jafar(x, image, state, scale, heads=4):
    layers = "norm1", "conv1", "norm2", "conv2"
    size = scale * x.shape[2], scale * x.shape[3]
    e = turned(encoded(image, state, "image_encoder", layers), state["rope.freqs"])
    query = group_norm(F.adaptive_avg_pool2d(encoded(e, state, "query_encoder", layers), size))
    key = F.adaptive_avg_pool2d(encoded(e, state, "key_encoder", layers), x.shape[2:])
    f = encoded(normalised(x), state, "key_features_encoder", layers)
    key = pointwise(f, state["sft_key.gamma.weight"]) * group_norm(key) + pointwise(f, state["sft_key.beta.weight"])
    return decoded(query, key, x, state, heads)


def responses(x, basis):
    """One pixel after another, numbers cut as published."""
    count, kernel = len(basis), basis.shape[-1]
    batch, channels, height, width = x.shape
    out = x.new_empty(batch, count, height, width)
    padded = F.pad(x, (kernel // 2,) * 4)
    ones = F.pad(torch.ones_like(x[0, 0]), (kernel // 2,) * 4)
    for i in range(height):
        for j in range(width):
            patch = padded[:, :, i : i + kernel, j : j + kernel]
            numbers = torch.einsum("bcuv,muv->bcm", patch, basis[:, 0]) / ones[i : i + kernel, j : j + kernel].sum()
            out[:, :, i, j] = numbers.reshape(batch, count, channels).softmax(1).mean(2)
    return out


def seen_keys(high, low, ratio):
    """Which keys each pixel of an axis sees, by float32 numbers of torch on the CPU."""
    middle = (torch.arange(high, dtype=torch.float32) + 0.5) / torch.tensor(high, dtype=torch.float32)
    first = ((middle - torch.tensor(ratio)).clamp(0, 1) * low).floor()
    last = ((middle + torch.tensor(ratio)).clamp(0, 1) * low).ceil()
    return torch.stack([(key >= first) & (key < last) for key in range(low)], dim=1)


def anyup(x, image, state, scale, heads=4, ratio=0.1):
    layers = "block.0", "block.2", "block.3", "block.5"
    size = scale * x.shape[2], scale * x.shape[3]
    e = turned(encoded(image, state, "image_encoder", layers), state["rope.freqs"])
    query = F.adaptive_avg_pool2d(encoded(e, state, "query_encoder", layers), size)
    key = F.adaptive_avg_pool2d(encoded(e, state, "key_encoder", layers), x.shape[2:])
    f = residuals(
        responses(normalised(x), state["key_features_encoder.0.basis"]), state, "key_features_encoder", layers
    )
    both = F.pad(torch.cat((key, f), 1), (1, 1, 1, 1), mode="reflect")
    key = residuals(F.conv2d(both, state["aggregation.0.weight"]), state, "aggregation", layers)
    seen = None
    if ratio > 0:
        rows, columns = (seen_keys(high, low, ratio) for high, low in zip(size, x.shape[2:], strict=True))
        seen = rows[:, None, :, None] & columns[None, :, None, :]
    return decoded(query, key, x, state, heads, seen)
