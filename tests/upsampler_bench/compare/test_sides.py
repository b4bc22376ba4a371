"""What a comparison records beside its results."""

from itertools import count, repeat

import pytest

from upsampler_bench.compare import process, schedule, sides
from upsampler_bench.compare.comparison import Comparison
from upsampler_bench.compare.rule import DEFAULT
from upsampler_bench.device import quota


@pytest.mark.parametrize(("periods", "notes"), [(count(), (sides.THROTTLED,)), (repeat(7), ())])
def test_a_comparison_that_a_quota_throttled_has_a_note(periods, notes, monkeypatch):
    monkeypatch.setattr(quota, "throttled_periods", periods.__next__)
    monkeypatch.setattr(process, "count", lambda cases, side, settings: {})
    compared = Comparison("nearest", "bilinear", "", (), DEFAULT)
    monkeypatch.setattr(schedule, "compare", lambda plan, say: compared)
    options = sides.Options(plan={"shape": ["4x4x4"], "mode": ["inference"], "device": "cpu"})
    (made,) = sides.compare_operators("nearest", "bilinear", options, print)
    assert made.notes == notes
