"""The rank test and its interval, compared with scipy and with known truths."""

import math

import pytest
from sample_comparison import values
from scipy import stats

from upsampler_bench.compare.rank_test import p_above, shift


@pytest.mark.parametrize(("count", "other"), [(3, 4), (8, 8), (5, 9), (16, 16), (1, 7)])
def test_the_one_sided_p_is_that_of_scipy(count, other):
    base, head = values(count), values(other, 1.02, seed=1)
    exact = stats.mannwhitneyu(head, base, alternative="greater", method="exact").pvalue
    assert p_above(base, head) == pytest.approx(exact, rel=1e-12)
    assert p_above([1.0] * count, [2.0] * other) == pytest.approx(1 / math.comb(count + other, count))


def test_the_interval_inverts_the_test():
    base, head = values(8), values(8, 1.05, seed=1)
    ratio = shift(base, head)
    inside, outside = ratio.low * 1.0001, ratio.low * 0.9999
    assert p_above([value * inside for value in base], head) > 0.025
    assert p_above([value * outside for value in base], head) <= 0.025
    assert ratio.low < ratio.ratio < ratio.high


def test_intervals_cover_the_truth_as_often_as_they_claim():
    covered = 0
    for trial in range(400):
        ratio = shift(values(8, seed=trial), values(8, 1.05, seed=-trial - 1))
        covered += ratio.low <= 1.05 <= ratio.high
    assert covered / 400 > 0.92


def test_too_few_values_bound_nothing_and_an_empty_side_is_refused():
    ratio = shift([1.0, 1.1], [1.2, 1.3])
    assert (ratio.low, ratio.high) == (0.0, math.inf)
    with pytest.raises(ValueError, match="got 0 and 1"):
        shift([], [1.0])


def test_a_tie_never_makes_a_difference_more_significant():
    base, head = [1.0, 2.0, 3.0], [3.0, 5.0, 6.0]
    assert p_above(base, head) == p_above(base, [2.9, 5.0, 6.0])
