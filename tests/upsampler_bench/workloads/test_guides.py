"""What a bare operator gets as its guide: an encoder feature, or an image of the size that the case states."""

from dataclasses import replace

import pytest
import torch
from sample_workload import built

import upsamplers
from upsampler_bench.case import Case
from upsampler_bench.runner import operators

CASE = Case("seen", channels=8, height=3, width=4)


class Seen(upsamplers.Upsampler):
    """Guided by an image, of whatever size."""

    needs_guide = guide_is_image = True

    def __init__(self, channels, *, scale=2, guide_channels=3):
        super().__init__(channels, scale=scale, guide_channels=guide_channels)

    def forward(self, x, guide):
        return torch.nn.functional.interpolate(x, scale_factor=float(self.scale))


@pytest.fixture(autouse=True)
def seen(registry_restored):
    upsamplers.register("seen")(Seen)


def guide(case):
    return built(case).inputs[1]


def test_an_image_has_the_outputs_size_unless_the_case_states_another():
    assert guide(CASE).shape == (1, 3, 6, 8)
    assert guide(replace(CASE, guide_image="20x10")).shape == (1, 3, 20, 10)


def test_a_feature_has_the_outputs_size_and_as_many_channels_as_are_asked_for():
    names = ["sapa-b", "resfu[guide_channels=3]"]
    operators.add_variants(names)
    for name, channels in zip(names, (32, 3), strict=True):
        case = replace(CASE, upsampler=name, channels=32, guide_image="20x10")
        assert guide(case).shape == (1, channels, 6, 8)


def test_more_channels_than_the_feature_has_are_refused():
    operators.add_variants(["resfu[guide_channels=9]"])
    with pytest.raises(upsamplers.Unsupported, match="a guide of 9 channels is asked for; there are 8"):
        guide(replace(CASE, upsampler="resfu[guide_channels=9]"))


def test_a_case_with_an_image_has_a_key_of_its_own():
    key = "seen/torch/1x8x3x4/x2/image 20x10/float32/contiguous/cpu/inference"
    assert replace(CASE, guide_image="20x10").key == key
