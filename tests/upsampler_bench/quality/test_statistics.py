"""Differences, compared with SciPy's."""

import pytest

from upsampler_bench.quality.statistics import paired_difference
from upsampler_bench.stats import QUANTILES

scipy_stats = pytest.importorskip("scipy.stats")


def test_a_difference_is_paired_by_seed_and_has_a_t_interval():
    ours, theirs = {0: 3.0, 1: 4.0, 2: 8.0, 7: 100.0}, {0: 1.0, 1: 3.0, 2: 5.0, 9: 0.0}
    found = paired_difference(ours, theirs)
    interval = scipy_stats.ttest_rel([3, 4, 8], [1, 3, 5]).confidence_interval(0.95)
    assert found.value == 2.0
    assert found.value - found.half_width == pytest.approx(interval.low, abs=1e-4)
    assert found.value + found.half_width == pytest.approx(interval.high, abs=1e-4)


def test_a_single_seed_has_no_interval_and_none_in_common_no_difference():
    assert paired_difference({4: 2.0}, {4: 1.5}).half_width is None
    assert paired_difference({4: 2.0}, {5: 1.5}) is None


def test_the_quantiles_are_those_of_students_t():
    expected = [scipy_stats.t.ppf(0.975, freedom) for freedom in range(1, 31)]
    assert list(QUANTILES) == pytest.approx(expected, abs=1e-4)
