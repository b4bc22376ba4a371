"""Flow alignment: where a flow reads, what a gate blends, what is refused."""

import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients, worst
from live_storages import assert_peaks
from naive_operators import bilinear_reads

import upsamplers
from upsamplers import Unsupported
from upsamplers.operators.fam import warp


def pixel_by_pixel(x, flow):
    """`warp` from its definition."""
    tall, wide = flow.shape[2:]
    rows, columns = (torch.linspace(-1, 1, size, dtype=torch.float64) for size in (tall, wide))
    down = (rows.view(-1, 1) + flow[:, 1] / tall + 1) / 2 * (x.shape[2] - 1)
    across = (columns + flow[:, 0] / wide + 1) / 2 * (x.shape[3] - 1)
    return bilinear_reads(x, down, across)


def naive(up, x, y):
    aligned = F.interpolate(up.down_h(x), size=y.shape[2:], mode="bilinear", align_corners=True)
    both = torch.cat((aligned, up.down_l(y)), dim=1)
    flow = up.flow_make(both)
    if up.gate is None:
        return pixel_by_pixel(x, flow)
    pooled = (aligned.mean(1), y.mean(1), aligned.max(1).values, y.max(1).values)
    share = up.flow_gate[0](both if up.gate == "spatial" else torch.stack(pooled, dim=1)).sigmoid()
    return share * pixel_by_pixel(x, flow[:, :2]) + (1 - share) * pixel_by_pixel(y, flow[:, 2:])


@pytest.mark.parametrize("gate", [None, "spatial", "pooled"])
@pytest.mark.parametrize(
    ("size", "guide_size"), [((3, 4), (6, 8)), ((3, 2), (5, 3)), ((2, 3), (1, 7)), ((1, 1), (3, 1))]
)
def test_values_and_all_gradients_are_those_of_the_definition(gate, size, guide_size):
    torch.manual_seed(0)
    up = upsamplers.create("fam", 6, gate=gate).double()
    for parameter in up.parameters():
        parameter.data.normal_(std=0.5)
    given = [torch.randn(2, 6, *one, dtype=torch.float64) for one in (size, guide_size)]
    expected = output_and_gradients(up, lambda x, y: naive(up, x, y), given)
    assert worst(output_and_gradients(up, up, given), expected) <= 1e-11


def test_two_units_of_flow_are_one_output_pixel_of_as_many_pixels_as_x():
    x = torch.randn(1, 3, 4, 101)
    flow = torch.zeros(1, 2, 4, 101)
    flow[:, 0] = 2 * 101 / 100
    assert torch.allclose(warp(x, flow)[..., :-1], x[..., 1:], atol=1e-4)
    assert not warp(x, 10 * 101 * torch.ones_like(flow)).any()


def test_coordinates_of_half_precision_are_float32():
    x = torch.arange(300.0).view(1, 1, 1, 300)
    out = warp(x.bfloat16(), torch.zeros(1, 2, 1, 300, dtype=torch.bfloat16))
    assert torch.equal(out, x.bfloat16())


@pytest.mark.parametrize(("gate", "expected"), [(None, 70_144), ("spatial", 77_056), ("pooled", 74_788)])
def test_parameters_are_those_that_are_published(gate, expected):
    up = upsamplers.create("fam", 256, gate=gate)
    assert sum(parameter.numel() for parameter in up.parameters()) == expected


def test_an_exchanged_convolution_is_used_as_it_is():
    up = upsamplers.create("fam", 6)
    up.flow_make = torch.nn.Conv2d(6, 2, 3, padding=2, dilation=2)
    x, guide = torch.randn(1, 6, 4, 5), torch.randn(1, 6, 8, 10)
    expected, hook = up(x, guide), up.flow_make.register_forward_hook(lambda *_: None)  # which has the layer called
    torch.testing.assert_close(up(x, guide), expected)
    hook.remove()


def test_its_state_has_the_published_names():
    assert list(upsamplers.create("fam", 8, guide_channels=6).state_dict()) == [
        f"{name}.weight" for name in ("down_h", "down_l", "flow_make")
    ]
    assert list(upsamplers.create("fam", 8, gate="pooled").state_dict())[-1] == "flow_gate.0.weight"


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (5, {}, "5 channels are not divisible by 2"),
        (6, {"gate": "soft"}, "no gate 'soft'; expected None, 'spatial', 'pooled'"),
        (6, {"gate": "pooled", "guide_channels": 4}, "expected 6 guide channels, not 4"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_reason(channels, options, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("fam", channels, **options)


@pytest.mark.parametrize("shape", [(1, 6, 4, 4), (2, 5, 4, 4), (2, 6, 0, 4), (6, 4, 4)])
def test_a_guide_of_other_channels_or_another_batch_is_refused(shape):
    with pytest.raises(Unsupported, match=r"expected \(2, 6, h, w\) with h, w >= 1"):
        upsamplers.create("fam", 6)(torch.randn(2, 6, 2, 2), torch.zeros(shape))


@pytest.mark.parametrize("gate", [None, "spatial", "pooled"])
def test_autocast_and_inputs_may_have_different_half_precisions(gate):
    up, x = upsamplers.create("fam", 8, gate=gate), torch.randn(1, 8, 4, 4).half()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert up(x, torch.randn(1, 8, 8, 8).half()).dtype == torch.float16


def test_a_forward_takes_no_more_than_its_output():
    assert_peaks(upsamplers.create("fam", 256), 40, forward=1.2, training=5)
