"""CARAFE: its weights, its options, its refusals and its memory."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from live_storages import peaks

import upsamplers
from upsamplers.errors import Unsupported
from upsamplers.functional import reassemble


def plain(carafe, x, *, kernel, groups, scale):
    """The operator by unfold, from the layers of a module."""
    batch, channels, height, width = x.shape
    logits = F.pixel_shuffle(carafe.content_encoder(carafe.channel_compressor(x)), scale)
    weights = logits.view(batch, groups, 1, kernel**2, height, scale, width, scale).softmax(3)
    windows = F.unfold(x, kernel, padding=kernel // 2)
    windows = windows.view(batch, groups, channels // groups, kernel**2, height, 1, width, 1)
    return (windows * weights).sum(3).view(batch, channels, scale * height, scale * width)


def loud(carafe):
    """With weights far from uniform: as initialised, every window is nearly a mean."""
    torch.nn.init.normal_(carafe.content_encoder.weight, std=0.5)
    return carafe


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
    carafe = loud(upsamplers.create("carafe", 8, scale=scale, **options)).double()
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64, requires_grad=True)
    out = carafe(x)
    expected = plain(carafe, x, kernel=options.get("up_kernel", 5), groups=options.get("up_group", 1), scale=scale)
    assert torch.allclose(out, expected, rtol=1e-10, atol=1e-12)
    grad = torch.randn_like(out)
    wanted = (x, *carafe.parameters())
    for one, other in zip(
        torch.autograd.grad(out, wanted, grad), torch.autograd.grad(expected, wanted, grad), strict=True
    ):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-11)


def test_the_weights_of_each_group_sum_to_one():
    carafe = loud(upsamplers.create("carafe", 8, up_group=2, up_kernel=3))
    logits = carafe.logits(torch.randn(2, 8, 4, 5))
    assert logits.shape == (2, 72, 4, 5)
    ones = torch.ones(2, 8, 4, 5)
    out = reassemble(ones, logits, 3, groups=2, normalize="softmax")
    assert torch.allclose(out[:, :, 2:-2, 2:-2], torch.ones(()))


def test_it_starts_as_the_paper_says():
    carafe = upsamplers.create("carafe", 256)
    assert sorted(carafe.state_dict()) == [
        "channel_compressor.bias",
        "channel_compressor.weight",
        "content_encoder.bias",
        "content_encoder.weight",
    ]
    assert sum(one.numel() for one in carafe.parameters() if one.dim() > 1) == 73_984
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
    output = 4 * 256 * 120 * 120
    forward, training = peaks(upsamplers.create("carafe", 256), torch.randn(1, 256, 60, 60))
    assert forward <= 1.6 * output
    assert training <= 4 * output


@pytest.mark.slow
def test_it_compiles_in_one_graph_with_dynamic_shapes():
    carafe = upsamplers.create("carafe", 4, up_kernel=3, up_group=2, compressed_channels=4)
    compiled = torch.compile(carafe, fullgraph=True, dynamic=True, backend="aot_eager")
    for height, width in ((4, 5), (6, 3)):
        x = torch.randn(2, 4, height, width)
        assert torch.allclose(compiled(x), carafe(x), atol=1e-5)
