# torch-free
"""One published figure beside ours: what was printed, how exactly, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from upsampler_bench.paper.parts import PublishedCell
from upsampler_bench.paper.sources import Number

REPRODUCED, DIFFERS, TRAINING, MISSING = "reproduced", "differs", "needs training", "not measured"
LETTERS = {1e6: "M", 1e3: "K", 1e9: ""}
MOST_PLACES = 4


@dataclass(frozen=True, slots=True)
class Printed:
    """A cost as the paper prints it.

    Attributes:
        value: in base units (multiply-adds, parameters).
        size: base units of the unit that it is printed in.
        places: digits after the point.
        adds: it is an addition to the baseline and has a sign.
    """

    value: float
    size: float
    places: int
    adds: bool

    def says(self, value: float, places: int | None = None) -> str:
        """A value in the same unit and with as many digits, or with so many: '+34.4', '13.7M'."""
        sign = "+" if self.adds else ""
        text = f"{value / self.size:{sign},.{self.places if places is None else places}f}"
        return text.replace("-", "−") + LETTERS[self.size]

    @property
    def text(self) -> str:
        """As it is printed."""
        return self.says(self.value)

    def closer(self, value: float) -> str:
        """A value with a digit more than is printed, and three significant ones at least."""
        small = 2 - math.floor(math.log10(abs(value) / self.size)) if value else 0
        return self.says(value, min(max(self.places + 1, small), MOST_PLACES))

    def rounds_to(self, value: float) -> bool:
        """Whether a value is the printed one in its digits."""
        return self.says(value) == self.text

    def is_near(self, value: float) -> bool:
        """Whether a value is less than one unit of the last printed digit away."""
        return abs(value - self.value) < self.size * 10.0**-self.places


def gflops(text: str, *, adds: bool) -> Printed:
    """GFLOPs as typed in."""
    return Printed(float(text) * 1e9, 1e9, _places(text), adds)


def params(thousands: str, *, adds: bool) -> Printed:
    """Parameters as typed in: in thousands with a decimal where the paper prints K, whole where it prints M."""
    value = float(thousands) * 1e3
    return Printed(value, 1e3, _places(thousands), adds) if "." in thousands else Printed(value, 1e6, 1, adds)


def quoted(figure: str, text: str) -> PublishedCell:
    """A figure that no measurement of costs can tell."""
    return PublishedCell(figure, text, published_value=float(text), verdict=TRAINING)


def alone(figure: str, ours: str, value: float) -> PublishedCell:
    """A figure of ours for which the paper prints none."""
    return PublishedCell(figure, "", ours, our_value=value, verdict="")


def held(figure: str, printed: Printed, ours: Number, verdict: str, why: Iterable[str]) -> PublishedCell:
    """A cost with its verdict; without a value of ours it was not measured, and why is its own reason."""
    unit = 1e9 if printed.size == 1e9 else 1.0
    value = printed.value / unit
    if ours.value is None:
        return PublishedCell(figure, printed.text, published_value=value, verdict=MISSING, why=ours.why)
    return PublishedCell(
        figure,
        printed.text,
        printed.closer(ours.value),
        value,
        ours.value / unit,
        deviation(ours.value, printed.value),
        verdict,
        "; ".join(one for one in (*why, ours.why) if one),
    )


def deviation(ours: float, published: float) -> str:
    """Ours beside the published value, in per cent of that."""
    # Adding zero turns what rounds to minus zero into zero.
    off = round(100 * (ours / published - 1), 1) + 0.0
    text = f"{off:+,.0f}" if abs(off) >= 9.95 else f"{off:+.1f}"
    return f"{text.replace('-', '−')} %"


def _places(text: str) -> int:
    return len(text.partition(".")[2])
