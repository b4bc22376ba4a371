"""Chains of operators reach the scales that one of them does not have."""

import pytest
import torch
import torch.nn.functional as F

import upsamplers
from upsamplers import Unsupported


def test_a_chain_is_its_operators_one_after_the_other():
    torch.manual_seed(0)
    up = upsamplers.create("carafe", 8, scale=8, step=2)
    x = torch.randn(1, 8, 3, 4)
    first, second, third = up.children()
    assert torch.equal(up(x), third(second(first(x))))
    assert (up.channels, up.scale) == (8, 8)


def test_a_guided_chain_averages_the_guide_to_the_size_of_each():
    torch.manual_seed(0)
    up = upsamplers.create("sapa-b", 32, scale=4, step=2, guide_channels=32)
    x, guide = up.example_inputs(1, 3, 4)
    first, second = up.children()
    assert guide.shape == (1, 32, 12, 16)
    assert torch.equal(up(x, guide), second(first(x, F.avg_pool2d(guide, 2)), guide))


def test_a_guide_of_indices_is_made_again_for_each():
    up = upsamplers.create("max-unpool", 4, scale=4, step=2)
    assert up(torch.randn(1, 4, 3, 3), torch.randn(1, 4, 12, 12)).shape == (1, 4, 12, 12)


@pytest.mark.parametrize(
    ("scale", "step", "message"),
    [
        (6, 2, "scale 6 is no power of step=2"),
        (1, 2, "no power"),
        (4, 0, "at least 2"),
        (4, 1, "at least 2"),
        (4, "2", "at least 2"),
    ],
)
def test_a_scale_that_no_chain_reaches_is_refused(scale, step, message):
    with pytest.raises(Unsupported, match=message):
        upsamplers.create("carafe", 8, scale=scale, step=step)


def test_a_step_that_the_operator_does_not_have_is_refused():
    with pytest.raises(Unsupported, match="by 2 only, not by 3"):
        upsamplers.create("a2u", 32, scale=9, step=3)


def test_the_backend_of_a_chain_is_that_of_its_operators():
    chain = upsamplers.create("carafe", 8, scale=4, step=2, backend="torch")
    assert chain.backend == "torch"
    chain.backend = "auto"
    assert [link.backend for link in chain.children()] == ["auto", "auto"]


def test_a_chain_needs_the_size_that_its_operators_need_and_one_step_is_no_chain():
    assert upsamplers.create("jbu", 8, scale=4, step=2).least_size == 2
    assert upsamplers.create("naf", 64, scale=2, step=2).scale == 2
