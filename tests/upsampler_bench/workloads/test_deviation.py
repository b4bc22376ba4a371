"""How far a backend is from the torch form in float64, where that is known."""

from dataclasses import replace

import pytest
import sample_workload
import torch

import upsamplers
from upsampler_bench.case import INFERENCE, TRAIN, Case
from upsampler_bench.workloads import deviation

pytestmark = pytest.mark.usefixtures("registry_restored")


def built(name, mode=INFERENCE, call=lambda module: module):
    made = sample_workload.built(Case(name, mode, 1, 8, 6, 5))
    return replace(made, call=call(made.module))


@pytest.mark.parametrize("name", ["bilinear", "carafe", "fade", "dysample+", "max-unpool"])
def test_float32_deviates_by_its_rounding_alone(name):
    assert deviation.of_output(built(name)).largest < 1e-5
    assert deviation.of_gradients(built(name, TRAIN)) < 1e-4


def test_gradients_are_compared_without_dropout():
    assert deviation.of_gradients(built("jbu", TRAIN)) < 1e-4


def test_a_gradient_that_is_not_a_number_is_no_small_deviation():
    def call(module):
        module.content_encoder.bias.register_hook(lambda grad: grad * float("nan"))
        return module

    assert not deviation.of_gradients(built("carafe", TRAIN, call)) <= 1


def test_an_output_that_is_off_by_a_hundredth_deviates_by_that():
    off = built("carafe", call=lambda module: lambda x: 1.01 * module(x))
    assert deviation.of_output(off).largest == pytest.approx(0.01, rel=1e-3)


def test_one_gradient_that_is_off_is_enough():
    def call(module):
        module.content_encoder.bias.register_hook(lambda grad: 1.1 * grad)
        return module

    assert deviation.of_gradients(built("carafe", TRAIN, call)) == pytest.approx(0.1, rel=1e-3)


def test_an_output_that_is_not_a_number_is_no_small_deviation():
    found = deviation.of_output(built("bilinear", call=lambda module: lambda x: module(x) * float("nan")))
    assert not found.largest <= 1
    assert not found.rms <= 1


class Balanced(torch.nn.Module):
    """Bilinear interpolation times a sum that is one, so that the weight's exact gradient is zero."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(0, 1, 7))

    def forward(self, x):
        return torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear") * self.weight.softmax(0).sum()


def test_rounding_of_a_gradient_that_is_zero_is_measured_by_the_others():
    upsamplers.register_module("balanced", lambda channels, scale: Balanced())
    assert deviation.of_gradients(built("balanced", TRAIN)) < 1e-2
