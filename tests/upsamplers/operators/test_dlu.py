"""DLU: its points, its options, its refusals and its memory."""

from __future__ import annotations

import naive_operators as naive
import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients
from live_storages import assert_peaks

import upsamplers
from upsamplers.errors import Unsupported


def plain(dlu, x):
    """The operator as the definition reads: kernels interpolated pixel by pixel, windows by unfold."""
    scale, (height, width) = dlu.scale, x.shape[2:]
    compressed = dlu.channel_compressor(x)
    space = dlu.kernel_space_generator(compressed).softmax(1)
    offsets = F.pixel_shuffle(dlu.conv_offset(compressed), scale)
    rows, columns = torch.arange(scale * height) // scale, torch.arange(scale * width) // scale
    right = (columns + offsets[:, 0]).clamp(0, width - 1)
    down = (rows[:, None] + offsets[:, 1]).clamp(0, height - 1)
    return naive.reassembled(x, naive.bilinear_reads(space, down, right), scale)


def moved(**options):
    """A module in float64 that moves its points by about a pixel, some of them beyond the borders."""
    torch.manual_seed(0)
    dlu = upsamplers.create("dlu", 6, **{"compressed_channels": 5, **options}).double()
    for layer in (dlu.kernel_space_generator, dlu.conv_offset):
        torch.nn.init.normal_(layer.weight, std=0.3)
        torch.nn.init.normal_(layer.bias)
    return dlu


@pytest.mark.parametrize("size", [(5, 6), (1, 4), (7, 1), (1, 1), (2, 3)])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_values_and_gradients_are_those_of_the_definition(scale, kernel, size):
    dlu = moved(scale=scale, up_kernel=kernel)
    given = (torch.randn(2, 6, *size, dtype=torch.float64),)
    out, *gradients = output_and_gradients(dlu, dlu, given)
    expected, *others = output_and_gradients(dlu, lambda x: plain(dlu, x), given)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradients, others, rtol=1e-8, atol=1e-8)


def test_without_offsets_the_pixels_of_an_input_pixel_share_its_kernel():
    dlu = moved()
    torch.nn.init.zeros_(dlu.conv_offset.weight)
    torch.nn.init.zeros_(dlu.conv_offset.bias)
    weights = dlu.weights(torch.randn(1, 6, 4, 5, dtype=torch.float64))
    torch.testing.assert_close(weights, F.interpolate(weights[..., ::2, ::2], scale_factor=2), rtol=0, atol=1e-12)


def test_it_starts_as_the_page_says():
    torch.manual_seed(0)
    dlu = upsamplers.create("dlu", 256)
    layers = ("channel_compressor", "conv_offset", "kernel_space_generator")
    assert sorted(dlu.state_dict()) == [f"{one}.{what}" for one in layers for what in ("bias", "weight")]
    assert not any(getattr(dlu, one).bias.any() for one in layers)
    assert not dlu.conv_offset.weight.any()
    assert dlu.channel_compressor.weight.abs().max() <= (6 / (256 + 64)) ** 0.5
    assert 0.0009 < dlu.kernel_space_generator.weight.std() < 0.0011


@pytest.mark.parametrize("name", ["up_kernel", "compressed_channels"])
@pytest.mark.parametrize("value", [0, -1, 3.0, True, "3", None])
def test_an_option_that_is_not_a_positive_integer_is_refused(name, value):
    with pytest.raises(Unsupported, match=f"{name} must be a positive integer"):
        upsamplers.create("dlu", 8, **{name: value})


def test_a_window_without_a_middle_is_refused():
    with pytest.raises(Unsupported, match="up_kernel must be odd, not 4"):
        upsamplers.create("dlu", 8, up_kernel=4)


def test_points_stay_where_they_are_in_half_precision_far_from_the_origin():
    torch.manual_seed(0)
    dlu = upsamplers.create("dlu", 2, up_kernel=3).bfloat16()
    with torch.no_grad():
        dlu.kernel_space_generator.weight.normal_()
        dlu.conv_offset.bias.fill_(0.25)
    x = torch.randn(1, 2, 2, 600).bfloat16()
    found, expected = dlu.weights(x), dlu.float().weights(x.float())
    # From column 256 on, an integer of bfloat16 is even: another pixel's kernel would be read.
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1)


def test_peaks_are_at_most_1_7_outputs_forward_and_4_in_training():
    assert_peaks(upsamplers.create("dlu", 256), 60, forward=1.7, training=4)
