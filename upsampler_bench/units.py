"""From base units to the units that people read, with the digits that an interval supports."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from upsampler_bench.stats import Estimate

FEWEST_DIGITS, MOST_DIGITS = 2, 4


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit for people, and its size in base units."""

    name: str
    size: float


UNITS = {
    "s": Unit("ms", 1e-3),
    "B": Unit("MiB", 2.0**20),
    "MAC": Unit("GFLOPs", 1e9),
    "J": Unit("mJ", 1e-3),
    "1": Unit("", 1.0),
    "bool": Unit("", 1.0),
    "share": Unit("%", 0.01),
    "error": Unit("", 1.0),
    "px": Unit("px", 1.0),
    "dB": Unit("dB", 1.0),
}
RATIO = Unit("×", 1.0)
LETTERS = {1e9: "G", 1e6: "M", 1e3: "K"}
# Below, a number is written with a power of ten.
TINY = 1e-4
# From here on a number is shortened with a letter.
SHORTENED = 9999.5


def unit(base: str) -> Unit:
    """The unit that a base unit is shown in; an unknown one is shown as it is."""
    return UNITS.get(base) or Unit(base, 1.0)


def heading(title: str, unit: str) -> str:
    """A title with its unit, e.g. "Latency (ms)", unless one of its words is the unit, e.g. "GFLOPs"."""
    return f"{title} ({unit})" if unit and unit not in re.split(r"[\s(),/]+", title) else title


def convert(estimate: Estimate, to: Unit) -> Estimate:
    """The estimate in another unit."""
    return replace(estimate, value=estimate.value / to.size, low=estimate.low / to.size, high=estimate.high / to.size)


def decimals(value: float, half_width: float = 0.0) -> int:
    """Places after the point (negative: before it) so that the last digit is the first of the interval's half width.

    At least two significant digits, at most four.
    """
    if not value:
        return 0
    leading = math.floor(math.log10(abs(value)))
    supported = leading - math.floor(math.log10(half_width)) + 1 if half_width > 0 else MOST_DIGITS
    return min(max(supported, FEWEST_DIGITS), MOST_DIGITS) - 1 - leading


def fixed(value: float, places: int) -> str:
    """The value with that many places and thousands separators."""
    return f"{round(value, places):,.{max(places, 0)}f}"


def exact(value: float) -> str:
    """A number without noise: an integer in full, another with at most four significant digits."""
    if value.is_integer():
        return f"{value:,.0f}"
    if abs(value) < TINY:
        return f"{value:.1e}"
    return _without_zeros(fixed(value, decimals(value)))


def rough(value: float) -> str:
    """A number without an interval: two significant digits."""
    return fixed(value, decimals(value, abs(value))) if value else "0"


def noisy(estimate: Estimate) -> tuple[str, str]:
    """An estimate as text, and its interval with the same places."""
    places = decimals(estimate.value, (estimate.high - estimate.low) / 2)
    return fixed(estimate.value, places), f"{fixed(estimate.low, places)}–{fixed(estimate.high, places)}"


def with_interval(estimate: Estimate) -> str:
    """An estimate as text, with its interval where it has one: 1.31 (1.30–1.32)."""
    if not estimate.is_bounded:
        return rough(estimate.value)
    if estimate.low == estimate.high:
        return exact(estimate.value)
    return "{} ({})".format(*noisy(estimate))


def short(value: float) -> str:
    """Three significant digits, for figures: 8.19, 1,300, 65.5K; integers below 10,000 in full."""
    if abs(value) >= SHORTENED:
        size = next(size for size in LETTERS if abs(value) >= size * 0.9995)
        return f"{_three_digits(value / size)}{LETTERS[size]}"
    return f"{value:,.0f}" if float(value).is_integer() else _three_digits(value)


def tick(value: float) -> str:
    """As `short`, without trailing zeros: for an axis."""
    text = short(value)
    return _without_zeros(text[:-1]) + text[-1] if text[-1].isalpha() else _without_zeros(text)


def _three_digits(value: float) -> str:
    places = 2 - math.floor(math.log10(abs(float(f"{value:.2e}"))))
    return fixed(value, max(places, 0))


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def time_text(seconds: float) -> str:
    """Seconds in words: 42 s, 2.5 min, 25.0 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def counted(count: int, noun: str) -> str:
    """A number of things: 1 operator, 2 operators."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
