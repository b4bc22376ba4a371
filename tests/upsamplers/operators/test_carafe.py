"""CARAFE: its weights, its options, its refusals and its memory."""

from __future__ import annotations

import naive_operators as naive
import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients
from live_storages import assert_peaks

import upsamplers
from upsamplers.errors import Unsupported


def plain(carafe, x):
    """The operator by unfold, from the layers of a module."""
    logits = F.pixel_shuffle(carafe.content_encoder(carafe.channel_compressor(x)), carafe.scale)
    weights = logits.unflatten(1, (carafe.up_group, -1)).softmax(2).flatten(1, 2)
    return naive.reassembled(x, weights, carafe.scale, groups=carafe.up_group)


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"up_kernel": 3, "up_group": 4},
        {"encoder_kernel": 1, "compressed_channels": 5},
        {"encoder_kernel": 5, "encoder_dilation": 2},
    ],
)
def test_values_and_gradients_are_those_of_the_definition(options, scale):
    torch.manual_seed(0)
    carafe = upsamplers.create("carafe", 8, scale=scale, **options).double()
    # As initialised, every window is nearly a mean.
    torch.nn.init.normal_(carafe.content_encoder.weight, std=0.5)
    given = (torch.randn(2, 8, 5, 6, dtype=torch.float64),)
    out, *gradients = output_and_gradients(carafe, carafe, given)
    expected, *others = output_and_gradients(carafe, lambda x: plain(carafe, x), given)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradients, others, rtol=1e-9, atol=1e-11)


def test_it_starts_as_the_paper_says():
    carafe = upsamplers.create("carafe", 256)
    layers = ("channel_compressor", "content_encoder")
    assert sorted(carafe.state_dict()) == [f"{one}.{what}" for one in layers for what in ("bias", "weight")]
    assert not carafe.channel_compressor.bias.any()
    assert not carafe.content_encoder.bias.any()
    assert carafe.channel_compressor.weight.abs().max() <= (6 / (256 + 64)) ** 0.5
    assert 0.0009 < carafe.content_encoder.weight.std() < 0.0011


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"up_group": 3}, "not divisible by 3"),
        ({"up_kernel": 4}, "up_kernel must be odd"),
        ({"encoder_kernel": 2}, "encoder_kernel must be odd"),
        ({"encoder_dilation": 0}, "encoder_dilation must be a positive integer"),
        ({"compressed_channels": 0}, "compressed_channels must be a positive integer"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("carafe", 8, **options)


def test_peaks_are_at_most_1_6_outputs_forward_and_4_in_training():
    assert_peaks(upsamplers.create("carafe", 256), 60, forward=1.6, training=4)
