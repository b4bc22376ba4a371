"""NAF: its attention pixel by pixel, its image's sizes, its rotary position, what it takes and refuses."""

import math

import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients, perturbed
from live_storages import assert_peaks

import upsamplers
from upsamplers import Unsupported
from upsamplers.functional import neighbourhood_attention
from upsamplers.functional._torch import neighbourhoods


def built(channels=8, **options):
    options = {"embedding_channels": 32, "heads": 2, "up_kernel": 3, **options}
    return perturbed("naf", channels, **options).eval()


def attention(query, key, x, kernel, heads=1, scale=2):
    """Each output pixel apart."""
    height, width = x.shape[2:]
    rows = []
    for i in range(query.shape[2]):
        row = []
        for j in range(query.shape[3]):
            down = min(max(i // scale - (kernel - 1) // 2, 0), height - kernel)
            across = min(max(j // scale - (kernel - 1) // 2, 0), width - kernel)
            part = (..., slice(down, down + kernel), slice(across, across + kernel))
            keys, values = (one[part].unflatten(1, (heads, -1)).flatten(3) for one in (key, x))  # (B, N, D, k²)
            own = query[:, :, i, j].unflatten(1, (heads, 1, -1))  # (B, N, 1, D)
            weights = (own @ keys / math.sqrt(keys.shape[2])).softmax(3)
            row.append((values @ weights.transpose(2, 3)).flatten(1))
        rows.append(torch.stack(row, dim=2))
    return torch.stack(rows, dim=2)


def encoded(state, prefix, image, padding):
    def convolved(name, z):
        z = F.pad(z, (padding,) * 4, mode="reflect") if padding else z
        return F.conv2d(z, state[f"{prefix}.{name}.weight"], state[f"{prefix}.{name}.bias"])

    z = convolved("0", image)
    for block in ("1", "2"):
        for half in ("1", "2"):
            name = f"{prefix}.{block}.norm{half}"
            z = convolved(
                f"{block}.conv{half}", F.silu(F.group_norm(z, 8, state[f"{name}.weight"], state[f"{name}.bias"]))
            )
    return z


def naive(up, x, image):
    """As published, step by step."""
    state = dict(up.named_parameters())
    height, width = (up.scale * side for side in x.shape[2:])
    tall, wide = image.shape[2:]
    if tall > 4 * height or wide > 4 * width:
        size = min(tall, 4 * height, 4 * width), min(wide, 4 * height, 4 * width)
        image = F.interpolate(image, size=size, mode="bilinear")
    parts = [encoded(state, "image_encoder.encoder", image, 0), encoded(state, "image_encoder.sem_encoder", image, 1)]
    e = F.adaptive_avg_pool2d(torch.cat(parts, 1), (height, width))
    depth = e.shape[1] // up.heads
    query = torch.empty_like(e)
    for channel in range(e.shape[1]):
        within = channel % depth
        pair = within % (depth // 2)
        period = 100 ** (2 * (pair % (depth // 4)) / (depth // 2))
        places = [2 * (torch.arange(side).double() + 0.5) / side - 1 for side in (height, width)]
        angle = places[0][:, None].expand(-1, width) if pair < depth // 4 else places[1].expand(height, -1)
        angle = 2 * math.pi * angle / period
        other = -e[:, channel + depth // 2] if within < depth // 2 else e[:, channel - depth // 2]
        query[:, channel] = e[:, channel] * angle.cos() + other * angle.sin()
    key = F.adaptive_avg_pool2d(query, x.shape[2:])
    return attention(query, key, x, up.least_size, up.heads, up.scale)


@pytest.mark.parametrize(
    ("scale", "size", "image", "kernel"),
    [(1, (3, 3), (3, 3), 3), (2, (5, 4), (10, 8), 3), (3, (3, 5), (9, 15), 3), (4, (5, 6), (20, 24), 5),
     (2, (4, 5), (7, 23), 3), (2, (3, 4), (25, 9), 3), (2, (3, 6), (40, 60), 3), (2, (3, 4), (2, 2), 1)],
)  # fmt: skip
def test_values_and_gradients_are_those_of_the_published_steps(scale, size, image, kernel):
    up = built(scale=scale, up_kernel=kernel)
    given = torch.randn(2, 8, *size).double(), torch.randn(2, 3, *image).double()
    out, *gradients = output_and_gradients(up, up, given)
    expected, *others = output_and_gradients(up, lambda *both: naive(up, *both), given)
    assert torch.allclose(out, expected, atol=1e-6)  # periods were rounded to float32 before they became float64
    pairs = zip(gradients, others, strict=True)
    assert all(torch.allclose(one, other, atol=1e-5 * float(other.abs().max())) for one, other in pairs)


@pytest.mark.parametrize("rows", ["all", "one by one"])
@pytest.mark.parametrize(
    ("scale", "kernel", "heads", "size"),
    [(1, 1, 1, (1, 1)), (2, 3, 2, (3, 3)), (3, 3, 1, (4, 3)), (1, 5, 2, (6, 5)), (2, 5, 1, (5, 8)), (2, 3, 4, (8, 7))],
)
def test_both_forms_of_the_attention_are_those_of_each_pixel_apart(monkeypatch, scale, kernel, heads, size, rows):
    if rows == "one by one":
        monkeypatch.setattr(neighbourhoods, "CPU_AT_MOST", 1)
    torch.manual_seed(0)
    high = tuple(scale * side for side in size)
    leaves = [torch.randn(2, *shape).double().requires_grad_() for shape in ((8, *high), (8, *size), (4, *size))]
    expected = attention(*leaves, kernel, heads, scale)
    grad = torch.randn_like(expected)
    gradients = torch.autograd.grad(expected, leaves, grad)
    plain = neighbourhoods.gathered_attention(*leaves, kernel, heads, scale)
    for out in (neighbourhood_attention(*leaves, kernel, heads=heads, scale=scale), plain):
        assert torch.allclose(out, expected, atol=1e-12)
        found = torch.autograd.grad(out, leaves, grad)
        assert all(torch.allclose(one, other, atol=1e-12) for one, other in zip(found, gradients, strict=True))


def test_second_derivatives_of_the_attention_are_exact():
    torch.manual_seed(0)
    leaves = [torch.randn(shape).double().requires_grad_() for shape in ((1, 4, 6, 8), (1, 4, 3, 4), (1, 2, 3, 4))]
    assert torch.autograd.gradgradcheck(
        lambda *tensors: neighbourhood_attention(*tensors, 3, heads=2), leaves, fast_mode=True
    )


def test_training_stretches_positions_by_another_factor_each_call():
    up = built().train()
    x, image = torch.randn(1, 8, 4, 5).double(), torch.randn(1, 3, 8, 10).double()
    torch.manual_seed(1)
    first, second = up(x, image), up(x, image)
    assert not torch.allclose(first, second)
    torch.manual_seed(1)
    assert torch.equal(up(x, image), first)
    assert torch.equal(up.eval()(x, image), up(x, image))
    rope = up.image_encoder.rope
    plain = rope._angles(8, 10, torch.float64)
    for _ in range(20):
        ratios = rope.train()._angles(8, 10, torch.float64) / plain
        assert 0.5 <= float(ratios.min()) <= float(ratios.max()) <= 2
        assert torch.allclose(ratios, ratios.mean())


def test_a_block_is_encoded_again_for_its_gradient_unless_it_has_a_hook(monkeypatch):
    up = built(scale=1)
    calls = []
    silu = F.silu
    monkeypatch.setattr(F, "silu", lambda z: calls.append(z.shape) or silu(z))
    given = torch.randn(1, 8, 4, 5).double(), torch.randn(1, 3, 4, 5).double()
    up(*given).sum().backward()
    assert len(calls) == 2 * 8
    calls.clear()
    up.image_encoder.encoder[1].norm1.register_forward_hook(lambda *_: None)
    up(*given).sum().backward()
    assert len(calls) == 2 * 8 - 2


@pytest.mark.parametrize("channels", [384, 768])
def test_parameters_are_those_that_are_published_whatever_the_channels(channels):
    up = upsamplers.create("naf", channels, scale=16)
    assert up.guide_channels == 3
    assert sum(parameter.numel() for parameter in up.parameters()) == 662_528
    assert up.image_encoder.rope.periods.shape == (16,)


def test_peak_memory_stays_within_its_bound():
    up = upsamplers.create("naf", 96, scale=8, embedding_channels=64)
    assert_peaks(up, 12, forward=3.6, training=7.5, trains=True)


def test_the_encoder_of_an_image_holds_five_halves_of_its_embedding():
    up = upsamplers.create("naf", 8, scale=8, embedding_channels=64)
    assert_peaks(up, 24, forward=20.1, training=59)  # four of an output each, and the padding of a convolution


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (8, {"embedding_channels": 24}, "24 channels are not divisible by 16"),
        (12, {"heads": 6, "embedding_channels": 32}, "32 channels are not divisible by 24"),
        (9, {}, "9 channels are not divisible by 4"),
        (8, {"up_kernel": 4}, "up_kernel must be odd, not 4"),
        (8, {"heads": 0}, "heads must be a positive integer, not 0"),
        (8, {"embedding_channels": 0}, "embedding_channels must be a positive integer, not 0"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(channels, options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("naf", channels, **options)


def test_sizes_that_a_window_or_a_reflection_cannot_take_are_refused():
    up = upsamplers.create("naf", 8, embedding_channels=32)
    with pytest.raises(Unsupported, match="sides of at least 2 pixels"):
        up(torch.randn(1, 8, 9, 9), torch.randn(1, 3, 1, 18))
    for shapes, message in (
        (((1, 4, 6, 6), (1, 4, 3, 3), (1, 6, 2, 3)), "x has 2 x 3 pixels; expected at least 3 x 3"),
        (((1, 4, 6, 6), (1, 4, 3, 4), (1, 6, 3, 3)), r"expected keys of shape \(1, 4, 3, 3\)"),
        (((1, 4, 6, 7), (1, 4, 3, 3), (1, 6, 3, 3)), r"expected a query of shape \(1, 4, 6, 6\)"),
        (((1, 4, 6, 6), (1, 4, 3, 3), (1, 5, 3, 3)), "5 channels are not divisible by 2"),
    ):
        with pytest.raises(Unsupported, match=message):
            neighbourhood_attention(*map(torch.zeros, shapes), 3, heads=2)
