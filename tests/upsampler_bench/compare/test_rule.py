"""The rule on samples that are known to be alike or not."""

import pytest
from sample_comparison import values

from upsampler_bench.compare import rule
from upsampler_bench.compare.comparison import Comparison
from upsampler_bench.compare.samples import BASE, HEAD, Sample, Timing, timings

KEY = "dysample/1x8x6x5/x2/float32/contiguous/cpu/inference"


def samples(base, head):
    return tuple(
        Sample(side, {KEY: Timing((value, value * 1.01, value * 1.02), value)})
        for side, fastest in ((BASE, base), (HEAD, head))
        for value in fastest
    )


@pytest.mark.parametrize(
    ("factor", "spread", "verdict"),
    [
        (1.0, 0.005, rule.SAME), (1.10, 0.005, rule.SLOWER), (0.9, 0.005, rule.FASTER),
        (1.04, 0.03, rule.UNCLEAR), (1.0, 0.2, rule.UNCLEAR), (1.02, 0.002, rule.SAME),
    ],
)  # fmt: skip
def test_the_verdict_fits_the_samples(factor, spread, verdict):
    results = rule.judge(samples(values(8, 1.0, spread), values(8, factor, spread, seed=3)), [KEY])
    assert [result.verdict for result in results] == [verdict]


def test_a_ratio_beyond_the_threshold_that_is_not_significant_is_unclear_and_marked():
    result = rule.judge(samples(values(3, 1.0, 0.002), values(3, 1.2, 0.002)), [KEY], rule.Rule(significance=0.01))[0]
    assert (result.verdict, result.insignificant) == (rule.UNCLEAR, True)
    assert result.shift.ratio > 1.05


def test_holm_multiplies_the_smallest_by_all_and_never_falls():
    assert rule.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def test_a_case_that_one_side_lacks_is_not_judged():
    assert rule.judge(samples(values(8), []), [KEY]) == ()


def test_only_processes_of_the_side_that_timed_the_case_count():
    timing = Timing((1.0, 2.0), 0.5)
    assert timings((Sample(BASE, {KEY: timing}), Sample(BASE, {}), Sample(HEAD, {KEY: timing})), BASE, KEY) == [timing]


def test_a_decided_case_keeps_its_verdict_at_later_looks():
    first = rule.look(samples(values(8, 1.0, 0.003), values(8, 1.2, 0.003)), (KEY,), rule.DEFAULT, {})
    assert first[KEY].verdict == rule.SLOWER
    later = rule.look(samples(values(16), values(16)), (KEY,), rule.DEFAULT, first)
    assert later[KEY] is first[KEY]


def test_a_control_that_differs_is_a_false_alarm():
    slower = rule.judge(samples(values(8, 1.0, 0.002), values(8, 1.2, 0.002)), [KEY])
    comparison = Comparison("a", "b", "c", (KEY,), rule.DEFAULT, results=slower, control=slower)
    assert comparison.false_alarms == (KEY,)
    assert comparison.mean_ratio == pytest.approx(1.2, rel=0.01)
    assert not Comparison("a", "b", "c", (KEY,), rule.DEFAULT, results=slower).false_alarms
