"""Group norms: when the layer is called, and how exact its scale and shift are."""

import pytest
import torch
from torch import nn

from upsamplers.functional.group_norm import folds, group_norm, norm_scale_and_shift


def test_on_the_cpu_a_group_norm_is_the_layers():
    torch.manual_seed(0)
    norm, x = nn.GroupNorm(2, 4), torch.randn(2, 4, 5, 6)
    with torch.no_grad():
        assert torch.equal(group_norm(x, norm, backend="torch"), norm(x))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_scale_and_shift_are_right_far_from_zero(layout):
    torch.manual_seed(0)
    norm = nn.GroupNorm(2, 4)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    x = (torch.randn(2, 4, 30, 40) + 1000).contiguous(memory_format=layout)
    with torch.no_grad():
        scale, shift = norm_scale_and_shift(norm, x, "torch")
        expected = norm.double()(x.double().contiguous())
    assert (x * scale[..., None, None] + shift[..., None, None] - expected).abs().max() < 2e-3


def test_only_a_plain_layer_without_gradients_is_read():
    norm, x = nn.GroupNorm(2, 4), torch.zeros(1, 4, 2, 2)
    assert not folds(norm, x)
    with torch.no_grad():
        assert folds(norm, x)
        assert not folds(nn.GroupNorm(2, 4, affine=False), x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert not folds(norm, x)
        norm.register_forward_hook(lambda *_: None)
        assert not folds(norm, x)
