"""Medians, intervals and paired ratios."""

import math
import random
from itertools import pairwise

import pytest

from upsampler_bench.stats import Estimate, between_processes, covered, estimate, interval_ranks, paired_ratio, quantile


@pytest.mark.parametrize("count", [8, 9, 20, 30, 64, 199, 200, 201, 500])
def test_the_interval_covers_the_median_in_at_least_95_percent(count):
    low, high = interval_ranks(count)
    below = sum(math.comb(count, rank) for rank in range(low + 1, high + 1)) / 2**count
    assert 0.949 <= below < 0.993


def test_below_eight_samples_the_interval_is_their_whole_range():
    assert interval_ranks(7) is None
    assert estimate([3.0, 1.0, 2.0]) == Estimate(2.0, 1.0, 3.0, 3)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="no samples"):
        estimate([])


def test_the_interval_narrows_with_the_samples():
    noise = random.Random(0)
    samples = [1 + noise.gauss(0, 0.1) for _ in range(400)]
    assert estimate(samples).half_width < estimate(samples[:40]).half_width / 2


def test_a_paired_ratio_does_not_see_what_slows_the_whole_machine():
    load = [1.0, 5.0, 1.0, 3.0, 2.0, 1.0, 4.0]
    ours, theirs = [(3.0 * one,) for one in load], [(2.0 * one, 2.0 * one) for one in load]
    ratio = paired_ratio(ours, theirs)
    assert (ratio.value, ratio.low, ratio.high) == (1.5, 1.5, 1.5)


def test_rounds_that_only_one_side_has_are_left_out():
    assert paired_ratio([(2.0,), ()], [(1.0,), (1.0,), (1.0,)]).count == 1
    assert paired_ratio([()], [(1.0,)]) is None


def test_of_a_single_process_the_interval_is_its_own():
    alone = estimate([1.0] * 9)
    assert between_processes([alone]) is alone
    assert covered(alone.processes) == "within one process"


def test_processes_that_differ_by_any_factor_have_an_interval():
    assert between_processes([estimate([1e-300]), estimate([1e300])]).high < math.inf
    with pytest.raises(ValueError, match=r"math domain error|positive"):
        between_processes([estimate([0.0]), estimate([1.0])])


def test_the_interval_between_processes_covers_the_truth_with_95_percent_and_another_run_with_90():
    """What a process adds is drawn once for each, and is far larger than the noise of its rounds."""
    drawn = random.Random(0)

    def process():
        placement = drawn.gauss(0, 0.02)
        return estimate([1.3 * math.exp(placement + drawn.gauss(0, 0.002)) for _ in range(9)])

    def coverage(runs):
        return sum(one.low <= 1.3 <= one.high for one in runs) / len(runs)

    runs = [between_processes([process() for _ in range(3)]) for _ in range(1000)]
    assert all(one.is_bounded and covered(one.processes) == "between 3 processes" for one in runs)
    assert 0.93 < coverage(runs) < 0.97
    assert coverage([process() for _ in range(1000)]) < 0.2
    pairs = list(pairwise(runs))
    assert 0.88 < sum(one.low <= other.value <= one.high for one, other in pairs) / len(pairs) < 0.93


@pytest.mark.parametrize(("level", "fewest"), [(0.5, 5), (0.95, 59), (0.99, 299)])
def test_a_quantile_needs_samples_that_exceed_it_with_95_percent(level, fewest):
    assert 1 - level ** (fewest - 1) < 0.95 <= 1 - level**fewest
    assert quantile([1.0] * (fewest - 1), level) is None
    assert quantile([1.0] * fewest, level) == 1.0


def test_a_quantile_is_the_sample_of_its_rank():
    assert quantile([float(i) for i in range(1, 101)], 0.95) == 95
