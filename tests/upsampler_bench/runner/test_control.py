"""The same call on every device: how far they differ."""

import pytest

from upsampler_bench.case import Case, Settings
from upsampler_bench.runner import control
from upsampler_bench.runner.session import Session
from upsampler_bench.stats import Estimate


def times(**values):
    return control.Control(Case("bilinear"), {name: Estimate(*value, 21) for name, value in values.items()})


def test_devices_whose_intervals_overlap_do_not_differ():
    alike = times(a=(1.0, 0.99, 1.01), b=(1.02, 1.0, 1.03))
    assert alike.apart == ()
    assert alike.lines()[-1] == "Spread 2.0%, within the intervals."


def test_a_device_beyond_the_interval_is_named():
    differ = times(a=(1.0, 0.99, 1.01), b=(1.05, 1.04, 1.06))
    assert differ.apart == ("b",)
    assert differ.spread == pytest.approx(0.05)
    assert "more than the intervals: b slower" in differ.lines()[-2]
    assert differ.conditions()[1]["device"] == "b"


def test_there_is_no_control_where_nothing_is_timed():
    settings = Settings(metrics=("params",))
    assert control.measure(Session((Case("bilinear"), Case("bilinear", "probe")), settings)) is None
