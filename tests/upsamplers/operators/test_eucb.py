"""EUCB compared with its layers in a row, one after the other."""

import pytest
import torch
import torch.nn.functional as F
from every_operator import output_and_gradients, worst
from live_storages import assert_peaks

import upsamplers
from upsamplers import Unsupported


def layer_by_layer(up, x):
    """The operator as published: every layer on the upsampled map."""
    _, convolution, norm, _ = up.up_dwc
    padded = F.pad(x.repeat_interleave(up.scale, 2).repeat_interleave(up.scale, 3), (1, 1, 1, 1))
    out = F.conv2d(padded, convolution.weight, groups=up.channels)
    out = F.batch_norm(out, None, None, norm.weight, norm.bias, training=True) if norm.training else norm(out)
    return up.pwc[0](out.clamp(min=0))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("scale", "size"), [(1, (3, 4)), (2, (5, 3)), (2, (1, 1)), (3, (1, 4)), (4, (2, 3)), (5, (3, 1))]
)
def test_values_and_all_gradients_are_those_of_the_layers_in_a_row(scale, size, training):
    torch.manual_seed(0)
    up = upsamplers.create("eucb", 6, scale=scale).double().train(training)
    up.up_dwc[2].running_mean.normal_()
    up.up_dwc[2].running_var.uniform_(0.5, 2)
    for parameter in up.parameters():
        parameter.data.normal_()
    given = (torch.randn(2, 6, *size, dtype=torch.float64),)
    expected = output_and_gradients(up, lambda x: layer_by_layer(up, x), given)
    assert worst(output_and_gradients(up, up, given), expected) <= 1e-11


def test_a_constant_is_darker_along_the_border_where_taps_lie_outside():
    up = upsamplers.create("eucb", 1).eval()
    with torch.no_grad():
        up.up_dwc[1].weight.fill_(1)
        up.pwc[0].weight.fill_(1)
        up.up_dwc[2].eps = 0.0
    expected = torch.full((6, 8), 9.0)
    expected[[0, -1]] = expected[:, [0, -1]] = 6.0
    expected[[0, 0, -1, -1], [0, -1, 0, -1]] = 4.0
    assert torch.allclose(up(torch.ones(1, 1, 3, 4))[0, 0], expected)


def test_its_state_has_the_published_names_and_shapes():
    shapes = {name: tuple(tensor.shape) for name, tensor in upsamplers.create("eucb", 6).state_dict().items()}
    assert shapes == {
        "up_dwc.1.weight": (6, 1, 3, 3),
        **{f"up_dwc.2.{name}": (6,) for name in ("weight", "bias", "running_mean", "running_var")},
        "up_dwc.2.num_batches_tracked": (),
        "pwc.0.weight": (6, 6, 1, 1),
        "pwc.0.bias": (6,),
    }


def test_convolutions_start_from_a_narrow_normal_distribution():
    up = upsamplers.create("eucb", 256)
    for layer in (up.up_dwc[1], up.pwc[0]):
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not up.pwc[0].bias.any()


def test_batch_norm_is_not_trained_on_a_single_value():
    with pytest.raises(Unsupported, match="cannot be trained on a single value"):
        upsamplers.create("eucb", 4, scale=1)(torch.randn(1, 4, 1, 1))


def test_the_upsampled_copy_is_never_made():
    assert_peaks(upsamplers.create("eucb", 64), 40, forward=2.1, training=6.1)
