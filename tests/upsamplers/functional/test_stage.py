"""The stages of operators, as profilers see them."""

import torch
from torch.profiler import ProfilerActivity, profile

import upsamplers
from upsamplers.functional._torch import stage


def test_a_profiler_sees_the_stages_of_an_operator():
    operator = upsamplers.create("carafe", 8)
    with profile(activities=[ProfilerActivity.CPU]) as profiler, torch.no_grad():
        operator(torch.zeros(1, 8, 4, 4))
    names = [event.name for event in profiler.events() if event.is_user_annotation]
    assert sorted(names) == ["convolution", "projection", "reassembly", "softmax"]


def test_without_a_profiler_there_is_no_range():
    assert stage.stage("softmax") is stage.NOTHING
    with profile(activities=[ProfilerActivity.CPU]):
        assert stage.stage("softmax") is not stage.NOTHING
