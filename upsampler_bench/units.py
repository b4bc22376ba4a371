"""From base units to the units that people read, with the digits that an interval supports."""

from __future__ import annotations

import math
from dataclasses import dataclass

from upsampler_bench.stats import Estimate

LEAST, MOST = 2, 4


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit for people, and how many base units one of it is."""

    name: str
    size: float


UNITS = {
    "s": Unit("ms", 1e-3),
    "B": Unit("MiB", 2.0**20),
    "MAC": Unit("GFLOPs", 1e9),
    "1": Unit("", 1.0),
    "bool": Unit("", 1.0),
    "share": Unit("%", 0.01),
}
RATIO = Unit("×", 1.0)
LETTERS = {1e9: "G", 1e6: "M", 1e3: "K"}
PLAIN = 9999.5


def unit(base: str) -> Unit:
    """The unit that a base unit is shown in; an unknown one is shown as it is."""
    return UNITS.get(base) or Unit(base, 1.0)


def convert(one: Estimate, to: Unit) -> Estimate:
    """The estimate in another unit."""
    return Estimate(one.value / to.size, one.low / to.size, one.high / to.size, one.count)


def decimals(value: float, half_width: float = 0.0) -> int:
    """Places after the point (negative: before it) such that the last digit is the interval's first.

    Never fewer than two significant digits nor more than four.
    """
    if not value:
        return 0
    lead = math.floor(math.log10(abs(value)))
    supported = lead - math.floor(math.log10(half_width)) + 1 if half_width > 0 else MOST
    return min(max(supported, LEAST), MOST) - 1 - lead


def fixed(value: float, places: int) -> str:
    """The value with that many places and thousands separators."""
    return f"{round(value, places):,.{max(places, 0)}f}"


def exact(value: float) -> str:
    """A number without noise: a whole one in full, another with four significant digits at most."""
    if value.is_integer():
        return f"{value:,.0f}"
    text = fixed(value, decimals(value))
    return text.rstrip("0").rstrip(".") if "." in text else text


def rough(value: float) -> str:
    """A number that no interval bounds: two significant digits."""
    return fixed(value, decimals(value, abs(value))) if value else "0"


def noisy(one: Estimate) -> tuple[str, str]:
    """An estimate as text, and its interval with the same places."""
    places = decimals(one.value, (one.high - one.low) / 2)
    return fixed(one.value, places), f"{fixed(one.low, places)}–{fixed(one.high, places)}"


def short(value: float) -> str:
    """Three significant digits, as a figure has room for: 8.19, 1,300, 65.5K; whole numbers below 10,000 in full."""
    if abs(value) >= PLAIN:
        size = next(one for one in LETTERS if abs(value) >= one * 0.9995)
        return f"{_three(value / size)}{LETTERS[size]}"
    return f"{value:,.0f}" if float(value).is_integer() else _three(value)


def tick(value: float) -> str:
    """As `short`, without zeros at the end: what stands at an axis."""
    number, letter = (short(value)[:-1], short(value)[-1]) if short(value)[-1].isalpha() else (short(value), "")
    return (number.rstrip("0").rstrip(".") if "." in number else number) + letter


def _three(value: float) -> str:
    places = 2 - math.floor(math.log10(abs(float(f"{value:.2e}"))))
    return fixed(value, max(places, 0))
