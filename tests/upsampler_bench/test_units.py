"""Numbers as people read them."""

import pytest

from upsampler_bench import units
from upsampler_bench.stats import Estimate


@pytest.mark.parametrize(
    ("title", "unit", "heading"),
    [
        ("Latency", "ms", "Latency (ms)"), ("Multiply-adds", "M", "Multiply-adds (M)"), ("GFLOPs", "GFLOPs", "GFLOPs"),
        ("Kernels", "", "Kernels"), ("Peak (MiB)", "MiB", "Peak (MiB)"),
    ],
)  # fmt: skip
def test_a_heading_says_its_unit_once(title, unit, heading):
    assert units.heading(title, unit) == heading


@pytest.mark.parametrize(
    ("value", "half", "text", "interval"),
    [
        (6.214, 0.06, "6.21", "6.15–6.27"), (6.214, 0.6, "6.2", "5.6–6.8"), (123.4, 1.2, "123", "122–125"),
        (123.4, 30, "120", "90–150"), (123.456, 0.0001, "123.5", "123.5–123.5"),
        (12345.0, 90, "12,340", "12,260–12,440"), (0.001234, 0.00001, "0.00123", "0.00122–0.00124"),
        (0.0, 0.0, "0", "0–0"), (1.0, 5.0, "1.0", "-4.0–6.0"),
    ],
)  # fmt: skip
def test_a_noisy_number_has_the_digits_that_its_interval_supports(value, half, text, interval):
    assert units.noisy(Estimate(value, value - half, value + half, 30)) == (text, interval)


@pytest.mark.parametrize(
    ("value", "text"),
    [(2359296.0, "2,359,296"), (56.25, "56.25"), (126.5625, "126.6"), (0.05898, "0.05898"), (0.0, "0"), (3.1, "3.1")],
)
def test_an_integer_is_printed_in_full_and_another_exact_number_with_four_digits(value, text):
    assert units.exact(value) == text


@pytest.mark.parametrize(
    ("value", "text", "tick"),
    [
        (0.0, "0", "0"), (8192.0, "8,192", "8,192"), (65536.0, "65.5K", "65.5K"), (1299.84, "1,300", "1,300"),
        (9999.7, "10.0K", "10K"), (2359296.0, "2.36M", "2.36M"), (0.5, "0.500", "0.5"), (-20000.0, "-20.0K", "-20K"),
        (9.999, "10.0", "10"), (999_999.0, "1.00M", "1M"),
    ],
)  # fmt: skip
def test_figures_have_three_digits_and_letters_for_thousands(value, text, tick):
    assert (units.short(value), units.tick(value)) == (text, tick)
