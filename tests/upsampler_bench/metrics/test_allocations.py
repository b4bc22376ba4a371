"""How often a step allocates, counted by hand."""

import pytest
from fake_device import FakeDevice
from sample_workload import built

from upsampler_bench.case import INFERENCE, TRAIN, Case
from upsampler_bench.metrics import allocations, for_case, train_allocations

METRICS = {INFERENCE: allocations, TRAIN: train_allocations}


@pytest.mark.parametrize(
    ("name", "mode", "count"),
    [
        ("bilinear", INFERENCE, 1),  # the output
        ("bilinear", TRAIN, 3),  # and its gradient, and that of x
        ("deconv", TRAIN, 5),  # and those of weight and bias
    ],
)
def test_allocations_equal_the_hand_count_each_time(name, mode, count):
    made = built(Case(name, mode, 1, 16, 6, 5))
    readings = [METRICS[mode].measure(made, FakeDevice()) for _ in range(2)]
    assert [reading.samples for (reading,) in readings] == [(count,), (count,)]


def test_allocations_are_counted_only_where_they_are_asked_for():
    assert "allocations" not in for_case(Case("bilinear", INFERENCE, 1, 16, 6, 5), ())
