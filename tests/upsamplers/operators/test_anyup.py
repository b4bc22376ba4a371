"""AnyUp compared with its formula; what it holds, costs and refuses."""

from importlib import import_module

import pytest
import torch
from every_operator import output_and_gradients, perturbed, worst
from live_storages import peaks
from naive_attention import anyup, seen_keys

import upsamplers
from upsampler_bench.metrics import _conventions as conventions
from upsampler_bench.metrics import flops
from upsamplers import Unsupported
from upsamplers.functional._torch import attention_tiles


def built(channels=12, **options):
    return perturbed("anyup", channels, **{"embedding_channels": 16, **options})


@pytest.mark.parametrize(
    ("channels", "scale", "image", "options"),
    [
        (12, 2, (8, 6), {}),
        (16, 3, (15, 9), {"heads": 2, "window_ratio": 0.25}),
        (5, 3, (15, 9), {}),  # 5 x 3 pixels at scale 3: at ties the rounding of windows shows
        (12, 2, (11, 4), {"filter_size": 3, "window_ratio": 0}),
        (20, 3, (3, 20), {"guide_channels": 5, "window_ratio": -1}),
        (8, 1, (1, 2), {}),
    ],
)
def test_values_and_gradients_are_those_of_the_formula_for_an_image_of_any_size(channels, scale, image, options):
    up = built(channels, scale=scale, **options)
    given = torch.randn(2, channels, 5, 3).double(), torch.randn(2, up.guide_channels, *image).double()
    state, heads, ratio = dict(up.named_parameters()), options.get("heads", 4), options.get("window_ratio", 0.1)
    out, *gradients = output_and_gradients(up, up, given)
    expected, *others = output_and_gradients(up, lambda *both: anyup(*both, state, scale, heads, ratio), given)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    assert worst(gradients, others) <= 1e-9


def test_one_set_of_weights_takes_any_channels():
    other = upsamplers.create("anyup", 40, embedding_channels=16).double()
    other.load_state_dict(built(12).state_dict())
    assert other(torch.randn(1, 40, 3, 2).double(), torch.randn(1, 3, 6, 4).double()).shape == (1, 40, 6, 4)


@pytest.mark.parametrize("channels", [12, 128, 384])
def test_parameters_are_those_that_are_published_for_any_channels(channels):
    up = upsamplers.create("anyup", channels)
    assert up.guide_channels == 3
    assert sum(parameter.numel() for parameter in up.parameters()) == 878_080


def test_filters_start_from_a_normal_distribution():
    assert float(upsamplers.create("anyup", 8).key_features_encoder[0].basis.detach().std()) == pytest.approx(
        1, rel=0.1
    )


@pytest.mark.parametrize("ratio", [0.1, 0])
@pytest.mark.parametrize("image", [(18, 15), (7, 9)])
def test_multiply_adds_are_those_of_the_closed_form_inside_the_windows(image, ratio):
    up = upsamplers.create("anyup", 24, embedding_channels=16, scale=3, window_ratio=ratio).eval()
    e, c, pixels, low, high = 16, 24, image[0] * image[1], 6 * 5, 18 * 15
    keys = int(seen_keys(18, 6, ratio).sum() * seen_keys(15, 5, ratio).sum()) if ratio else high * low
    products = pixels * (3 * e + 14 * e**2) + high * 10 * e**2 + low * (25 * c * e + 27 * e**2) + keys * (e + c)
    elementwise = 2 * e * pixels + e * high + e * sum(image)
    given = torch.zeros(1, c, 6, 5), torch.zeros(1, 3, *image)
    assert flops.count(up, given, conventions.MAC) == (products + elementwise, ())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_channels": 20}, "20 channels are not divisible by 8"),
        ({"heads": 3}, "128 channels are not divisible by 3"),
        ({"filter_size": 4}, "filter_size must be odd, not 4"),
        ({"window_ratio": "wide"}, "window_ratio must be a number, not 'wide'"),
        ({"use_natten": True}, "anyup has no option 'use_natten'"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("anyup", 16, **options)


def test_peak_memory_is_a_few_times_the_embedding_of_the_image(monkeypatch):
    monkeypatch.setattr(attention_tiles, "MOST_WEIGHTS_CPU", 2**13)
    monkeypatch.setattr(import_module("upsamplers.functional.filter_responses"), "MOST_RESPONSES_CPU", 2**13)
    up = upsamplers.create("anyup", 48, embedding_channels=16, scale=8)
    forward, training = peaks(up.eval(), torch.randn(1, 48, 8, 8), torch.randn(1, 3, 64, 64))
    embedding, output, tile = 4 * 16 * 64 * 64, 4 * 48 * 64 * 64, 4 * 2**13
    assert output + embedding <= forward <= output + 1.5 * embedding + 3 * tile
    assert training <= 2 * output + 16.5 * embedding + 3 * tile
