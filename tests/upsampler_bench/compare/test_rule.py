"""Rank statistics against a library's, and the rule on processes that are known to be alike or not."""

import math
import random

import pytest
from scipy import stats

from upsampler_bench.compare import comparison, rule
from upsampler_bench.compare.rank_statistics import p_above, shift
from upsampler_bench.compare.samples import BASE, CONTROL, HEAD, STATISTICS, Point, Timing, lower_quartile, values

KEY = "dysample/1x8x6x5/x2/float32/contiguous/cpu/inference"


def sample(count, factor=1.0, spread=0.02, seed=0):
    chance = random.Random(f"{seed}{count}{factor}{spread}")
    return [factor * chance.lognormvariate(0, spread) for _ in range(count)]


def points(base, head, key=KEY):
    return tuple(
        Point(arm, {key: Timing((value, value * 1.01, value * 1.02, value * 1.03), (1.0,) * 4, value)})
        for arm, side in ((BASE, base), (HEAD, head))
        for value in side
    )


@pytest.mark.parametrize(("count", "other"), [(3, 4), (8, 8), (5, 9), (16, 16), (1, 7)])
def test_the_one_sided_p_is_that_of_scipy(count, other):
    first, second = sample(count), sample(other, 1.02, seed=1)
    exact = stats.mannwhitneyu(second, first, alternative="greater", method="exact").pvalue
    assert p_above(first, second) == pytest.approx(exact, rel=1e-12)
    assert p_above([1.0] * count, [2.0] * other) == pytest.approx(1 / math.comb(count + other, count))


def test_many_values_take_the_normal_approximation():
    first, second = sample(60), sample(60, 1.01, seed=1)
    near = stats.mannwhitneyu(second, first, alternative="greater", method="asymptotic").pvalue
    assert p_above(first, second) == pytest.approx(near, rel=1e-6)


def test_the_interval_is_the_tests_own_inversion():
    first, second = sample(8), sample(8, 1.05, seed=1)
    found = shift(first, second)
    inside, outside = found.low * 1.0001, found.low * 0.9999
    assert p_above([one * inside for one in first], second) > 0.025
    assert p_above([one * outside for one in first], second) <= 0.025
    assert found.low < found.ratio < found.high


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = 0
    for trial in range(400):
        found = shift(sample(8, seed=trial), sample(8, 1.05, seed=-trial - 1))
        held += found.low <= 1.05 <= found.high
    assert 0.92 < held / 400 <= 1.0


def test_too_few_values_bound_nothing_and_none_is_refused():
    found = shift([1.0, 1.1], [1.2, 1.3])
    assert (found.low, found.high) == (0.0, math.inf)
    with pytest.raises(ValueError, match="found 0 and 1"):
        shift([], [1.0])


@pytest.mark.parametrize(
    ("factor", "spread", "verdict"),
    [
        (1.0, 0.005, rule.SAME), (1.10, 0.005, rule.SLOWER), (0.9, 0.005, rule.FASTER),
        (1.04, 0.03, rule.UNCLEAR), (1.0, 0.2, rule.UNCLEAR), (1.02, 0.002, rule.SAME),
    ],
)  # fmt: skip
def test_the_verdict_fits_what_the_processes_are(factor, spread, verdict):
    found = rule.judge(points(sample(8, 1.0, spread), sample(8, factor, spread, seed=3)), [KEY])
    assert [one.verdict for one in found] == [verdict]


def test_a_change_that_one_statistic_alone_shows_is_none():
    base, head = sample(8, 1.0, 0.002), sample(8, 1.2, 0.002)
    pairs = [(BASE, one, one) for one in base] + [(HEAD, one, base[0]) for one in head]
    found = tuple(Point(arm, {KEY: Timing((value,) * 4, (1.0,) * 4, least)}) for arm, value, least in pairs)
    both = rule.judge(found, [KEY], rule.Rule(statistics=("quartile", "least")))[0]
    assert both.verdict == rule.UNCLEAR
    assert both.hidden
    assert rule.judge(found, [KEY], rule.Rule(statistics=("quartile",)))[0].verdict == rule.SLOWER


def test_holm_multiplies_the_smallest_by_all_and_never_falls():
    assert rule.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def test_a_case_that_one_arm_lacks_is_not_judged():
    assert rule.judge(points(sample(8), []), [KEY]) == ()


def test_statistics_are_what_their_names_say():
    timing = Timing((1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 2.0, 2.0), 0.5)
    assert STATISTICS["least"](timing) == 0.5
    assert STATISTICS["median"](timing) == 2.5
    assert STATISTICS["quartile"](timing) == lower_quartile([4.0, 2.0, 3.0, 1.0]) == 1.75
    assert STATISTICS["paired"](timing) == pytest.approx(1.75)
    assert values((Point(BASE, {KEY: timing}), Point(HEAD, {})), BASE, KEY, "least") == [0.5]


def test_a_settled_case_keeps_its_verdict_at_later_looks():
    found = comparison.look(points(sample(8, 1.0, 0.003), sample(8, 1.2, 0.003)), (KEY,), rule.DEFAULT, {})
    assert found[KEY].verdict == rule.SLOWER
    later = comparison.look(points(sample(16), sample(16)), (KEY,), rule.DEFAULT, found)
    assert later[KEY] is found[KEY]
    assert comparison.unsettled(found) == ()


def test_an_alarm_of_the_control_makes_all_advisory():
    slower = rule.judge(points(sample(8, 1.0, 0.002), sample(8, 1.2, 0.002)), [KEY])
    made = comparison.Duel("a", "b", "c", (KEY,), rule.DEFAULT, findings=slower, control=slower)
    assert made.is_advisory
    assert not comparison.Duel("a", "b", "c", (KEY,), rule.DEFAULT, findings=slower).is_advisory
    assert made.mean == pytest.approx(1.2, rel=0.01)
    assert CONTROL not in (BASE, HEAD)
