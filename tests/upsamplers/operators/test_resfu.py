"""ReSFU: its values, parameters and memory, and what it refuses."""

import pytest
import torch
import torch.nn.functional as F
from every_operator import perturbed
from live_storages import assert_peaks
from naive_operators import bilinear_reads

import upsamplers
from upsamplers import Unsupported


def built(channels=8, guide_channels=6, **options):
    return perturbed("resfu", channels, guide_channels=guide_channels, **options)


def place_by_place(x, weights, scale):
    """Reads x at each of the nine places, positions clamped to its pixels."""
    (height, width), (tall, wide) = x.shape[2:], weights.shape[2:]
    rows, columns = ((torch.arange(side).double() + 0.5) / scale - 0.5 for side in (tall, wide))
    out = 0
    for place in range(9):
        down = (rows + place // 3 - 1).clamp(0, height - 1).view(-1, 1).expand(len(x), tall, wide)
        across = (columns + place % 3 - 1).clamp(0, width - 1).expand(len(x), tall, wide)
        out = out + bilinear_reads(x, down, across) * weights[:, place : place + 1]
    return out


def guided_filter(guidance, source, radius, step):
    size, radius = guidance.shape[2:], radius // step
    low, target = (
        image[:, :, : size[0] // step * step : step, : size[1] // step * step : step] for image in (guidance, source)
    )

    def box(v):
        kernel = torch.ones(v.shape[1], 1, 2 * radius + 1, 2 * radius + 1, dtype=v.dtype)
        total, count = (F.conv2d(one, kernel, padding=radius, groups=v.shape[1]) for one in (v, torch.ones_like(v)))
        return total / count

    a = (box(low * target) - box(low) * box(target)) / (box(low * low) - box(low) ** 2 + 0.001)
    b = box(target) - a * box(low)
    a, b = (F.interpolate(box(one), size=size, mode="bilinear", align_corners=False) for one in (a, b))
    return a * guidance + b


def blurred(v):
    gaussian = torch.exp(-torch.tensor([1.0, 0.0, 1.0], dtype=v.dtype) / 2)
    kernel = (gaussian.view(3, 1) * gaussian / gaussian.sum() ** 2).expand(v.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(v, (1, 1, 1, 1), mode="replicate"), kernel, groups=v.shape[1])


def scored(scores, around, middle, scale):
    (tall, wide), padded = middle.shape[2:], F.pad(scores.norm(around), (scale,) * 4, mode="replicate")
    total = scores.bias
    for place in range(9):
        down, across = scale * (place // 3), scale * (place % 3)
        difference = padded[:, :, down : down + tall, across : across + wide] - scores.norm(middle)
        weight = scores.weight[:, :, place // 3, place % 3, None, None]
        total = total + F.conv2d(difference, weight, groups=scores.groups)
    return scores.channel_compressor(total)


def published(up, x, guide, radius, step):
    """ReSFU step by step: scores from differences, places outside the output left out, reads one by one."""
    scale, (tall, wide) = up.scale, guide.shape[2:]
    query, key = up.q(up.norm_y(guide)), up.k(up.norm_x(x))
    key = F.interpolate(key, scale_factor=scale, mode="bilinear", align_corners=False)
    scores = scored(up.semantic_scores, key, guided_filter(query, key, radius, step), scale)
    scores = scores + scored(up.detail_scores, blurred(query), query, scale)
    inside = F.unfold(torch.ones(1, 1, tall, wide).double(), 3, dilation=scale, padding=scale).view(9, tall, wide)
    return place_by_place(x, scores.masked_fill(inside == 0, -torch.inf).softmax(1), scale)


@pytest.mark.parametrize(("radius", "step"), [(8, 2), (3, 1), (5, 3)])
@pytest.mark.parametrize(("scale", "size"), [(1, (7, 4)), (2, (2, 5)), (3, (1, 2)), (4, (4, 3))], ids=str)
def test_values_and_gradients_are_those_of_the_published_steps(scale, size, radius, step):
    up = built(scale=scale, radius=radius, subsample=step)
    torch.manual_seed(0)
    x = torch.randn(2, 8, *size, dtype=torch.float64, requires_grad=True)
    guide = torch.randn(2, 6, *(scale * side for side in size), dtype=torch.float64, requires_grad=True)

    def results(form):
        out = form(x, guide)
        return (out, *torch.autograd.grad(out.square().sum(), (x, guide, *up.parameters())))

    def plainly(x, guide):  # as in a program that is exported
        return torch.func.vmap(lambda one, its: up(one[None], its[None])[0])(x, guide)

    expected = results(lambda x, guide: published(up, x, guide, radius, step))
    for form in (up, plainly):
        for result, other in zip(results(form), expected, strict=True):
            torch.testing.assert_close(result, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_a_constant_stays_what_it_is(scale):
    up = built(scale=scale)
    x, guide = torch.full((1, 8, 4, 5), 3.0).double(), torch.randn(1, 6, 4 * scale, 5 * scale).double()
    assert torch.allclose(up(x, guide), torch.tensor(3.0).double())


@pytest.mark.parametrize(("channels", "guide_channels"), [(256, 256), (128, 3), (12, 64)])
def test_parameters_are_those_that_are_published(channels, guide_channels):
    up = upsamplers.create("resfu", channels, guide_channels=guide_channels)
    expected = 34 * (channels + guide_channels) + 30_162
    assert sum(parameter.numel() for parameter in up.parameters()) == expected
    assert up.GF.kernel.shape == (32, 1, 1, 9)


def test_convolutions_start_from_a_narrow_normal_distribution_and_scores_from_kaimings():
    up = upsamplers.create("resfu", 256)
    for layer in (up.q, up.k, up.semantic_scores.channel_compressor[1]):
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
        assert not layer.bias.any()
    for scores in (up.semantic_scores, up.detail_scores):
        assert float(scores.weight.detach().std()) == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.1)
        assert not scores.bias.any()


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (48, {}, "48 channels are not divisible by 32"),
        (32, {"guide_channels": 33}, "33 channels are not divisible by 32"),
        (32, {"embedding_channels": 12}, "12 channels are not divisible by 8"),
        (32, {"groups": 3}, "32 channels are not divisible by 3"),
        (32, {"radius": 0}, "radius must be a positive integer, not 0"),
        (32, {"subsample": 0}, "subsample must be a positive integer, not 0"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(channels, options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("resfu", channels, **options)


def test_sizes_that_a_norm_or_the_filter_cannot_take_are_refused():
    up = upsamplers.create("resfu", 8, guide_channels=6)
    with pytest.raises(Unsupported, match="more than one value per group"):
        up(torch.randn(1, 8, 1, 1), torch.randn(1, 6, 2, 2))
    up = upsamplers.create("resfu", 8, guide_channels=6, scale=1)
    with pytest.raises(Unsupported, match="sides of at least 2 pixels"):
        up(torch.randn(1, 8, 1, 4), torch.randn(1, 6, 1, 4))


def test_peak_memory_stays_within_its_bound():
    assert_peaks(upsamplers.create("resfu", 256), 40, forward=2.5, training=9.5)
