"""JAFAR compared with its formula; what it holds, costs and refuses."""

import pytest
import torch
from every_operator import output_and_gradients, perturbed, worst
from live_storages import peaks
from naive_attention import jafar

import upsamplers
from upsampler_bench.metrics import _conventions as conventions
from upsampler_bench.metrics import flops
from upsamplers import Unsupported
from upsamplers.functional._torch import attention_tiles


@pytest.mark.parametrize(
    ("channels", "scale", "image", "options"),
    [
        (12, 2, (8, 6), {}),
        (16, 3, (12, 9), {"heads": 2}),  # as many channels as embedding channels: one projection for all
        (12, 2, (11, 4), {}),
        (12, 3, (3, 20), {"guide_channels": 5}),
        (8, 1, (1, 2), {}),
    ],
)
def test_values_and_gradients_are_those_of_the_formula_for_an_image_of_any_size(channels, scale, image, options):
    up = perturbed("jafar", channels, scale=scale, embedding_channels=16, **options)
    given = torch.randn(2, channels, 4, 3).double(), torch.randn(2, up.guide_channels, *image).double()
    state, heads = dict(up.named_parameters()), options.get("heads", 4)
    out, *gradients = output_and_gradients(up, up, given)
    expected, *others = output_and_gradients(up, lambda *both: jafar(*both, state, scale, heads), given)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    assert worst(gradients, others) <= 1e-9


@pytest.mark.parametrize(("channels", "count"), [(384, 628_480), (768, 727_168), (128, 529_792 + 257 * 128)])
def test_parameters_are_those_that_are_published(channels, count):
    up = upsamplers.create("jafar", channels)
    assert up.guide_channels == 3
    assert sum(parameter.numel() for parameter in up.parameters()) == count


def test_frequencies_start_by_rows_in_the_first_half_and_by_columns_in_the_second():
    freqs = upsamplers.create("jafar", 8, embedding_channels=16).rope.freqs.detach()
    waves = 2 * torch.pi * 100 ** (-torch.arange(4) / 3)
    expected = torch.zeros(2, 16)
    expected[0, :8], expected[1, 8:] = waves.repeat(2), waves.repeat(2)
    torch.testing.assert_close(freqs, expected)


@pytest.mark.parametrize("image", [(12, 10), (7, 9)])
def test_multiply_adds_are_those_of_the_closed_form(image):
    up = upsamplers.create("jafar", 24, embedding_channels=16).eval()
    e, c, pixels, low, high = 16, 24, image[0] * image[1], 6 * 5, 12 * 10
    products = pixels * (3 * e + 14 * e**2) + high * 10 * e**2 + low * (c * e + 7 * e**2) + high * low * (e + c)
    elementwise = 2 * e * pixels + e * high + e * low + e * sum(image)
    given = torch.zeros(1, c, 6, 5), torch.zeros(1, 3, *image)
    assert flops.count(up, given, conventions.MAC) == (products + elementwise, ())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_channels": 20}, "20 channels are not divisible by 8"),
        ({"heads": 3}, "128 channels are not divisible by 3"),
        ({"heads": 0}, "cannot be divided by 0"),
        ({"embedding_channels": 0}, "embedding_channels must be a positive integer, not 0"),
        ({"window_ratio": 0.1}, "jafar has no option 'window_ratio'"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("jafar", 16, **options)


def test_one_value_per_group_is_refused():
    up = upsamplers.create("jafar", 16, embedding_channels=8)
    with pytest.raises(Unsupported, match="more than one value per group"):
        up(torch.randn(1, 16, 1, 1), torch.randn(1, 3, 2, 2))


def test_peak_memory_is_a_few_times_the_embedding_of_the_image(monkeypatch):
    monkeypatch.setattr(attention_tiles, "MOST_WEIGHTS_CPU", 2**13)
    up = upsamplers.create("jafar", 48, embedding_channels=16, scale=8)
    forward, training = peaks(up.eval(), torch.randn(1, 48, 8, 8), torch.randn(1, 3, 64, 64))
    embedding, output, tile = 4 * 16 * 64 * 64, 4 * 48 * 64 * 64, 4 * 2**13
    assert output + embedding <= forward <= output + 1.5 * embedding + 3 * tile
    assert training <= 2 * output + 17.5 * embedding + 3 * tile
