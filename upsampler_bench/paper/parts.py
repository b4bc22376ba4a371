# torch-free
"""A published table with our numbers: its cells, and how one published figure is compared with ours."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from upsampler_bench.paper.ours import Number

REPRODUCED, DIFFERS, TRAINING, MISSING = "reproduced", "differs", "needs training", "not measured"
# A time of another device than the published one neither reproduces nor refutes it.
ELSEWHERE = "another device"
LETTERS = {1e9: "", 1e6: "M", 1e3: "K"}
MOST_PLACES = 4


@dataclass(frozen=True, slots=True)
class PublishedCell:
    """One published figure compared with ours.

    Attributes:
        figure: what it is, with its unit, e.g. "GFLOPs"; one of its table's `figures`.
        published, ours: as they are printed, e.g. "+34.4" and "+34.43"; empty if there is none.
        published_value, our_value: the numbers themselves, in the figure's unit.
        deviation: of ours from the published one, as printed, e.g. "+0.1 %"; empty if there is none of ours.
        verdict: "reproduced", "differs", "another device", "needs training" or "not measured"; empty if the paper
            prints no figure (`published` is empty).
        why: the reason of "differs" and "not measured"; else what a reader must know of how it was published.
    """

    figure: str
    published: str
    ours: str = ""
    published_value: float | None = None
    our_value: float | None = None
    deviation: str = ""
    verdict: str = MISSING
    why: str = ""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One row of a published table: a cell for each of its figures that the paper gives."""

    name: str
    cells: tuple[PublishedCell, ...]

    def cell(self, figure: str) -> PublishedCell | None:
        """The row's cell of a figure, or None if the paper gives none."""
        return next((cell for cell in self.cells if cell.figure == figure), None)


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table or figure of the paper, each of its figures compared with ours.

    Attributes:
        name: stable, e.g. "table4".
        title: e.g. "Table 4: SegFormer-B1 on ADE20K".
        about: how its figures are counted here, in sentences.
        figures: the columns, in order.
    """

    name: str
    title: str
    about: str
    figures: tuple[str, ...]
    rows: tuple[PublishedRow, ...]

    def count(self, verdict: str) -> int:
        """How many of its cells have this verdict."""
        return sum(cell.verdict == verdict for row in self.rows for cell in row.cells)


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

    @property
    def text(self) -> str:
        """As it is printed, e.g. '+34.4' or '13.7M'."""
        return self.format(self.value)

    def format(self, value: float, places: int | None = None) -> str:
        """A value in the same unit, with as many digits after the point, or with `places`."""
        sign = "+" if self.adds else ""
        text = f"{value / self.size:{sign},.{self.places if places is None else places}f}"
        return text.replace("-", "−") + LETTERS[self.size]

    def format_finer(self, value: float) -> str:
        """A value with one digit more than is printed, and at least three significant digits."""
        significant = 2 - math.floor(math.log10(abs(value) / self.size)) if value else 0
        return self.format(value, min(max(self.places + 1, significant), MOST_PLACES))

    def rounds_to(self, value: float) -> bool:
        """Whether a value is the printed one in its digits."""
        return self.format(value) == self.text

    def cuts_to(self, value: float) -> bool:
        """Whether a value is the printed one with its further digits cut off instead of rounded."""
        return 0 <= value - self.value < self.size * 10.0**-self.places


def gflops(text: str, *, adds: bool) -> Printed:
    """GFLOPs as typed in."""
    return Printed(float(text) * 1e9, 1e9, _places(text), adds)


def params(thousands: str, *, adds: bool) -> Printed:
    """Parameters as typed in, in thousands: with a decimal if the paper prints K, without one if it prints M."""
    value = float(thousands) * 1e3
    return Printed(value, 1e3, _places(thousands), adds) if "." in thousands else Printed(value, 1e6, 1, adds)


def quoted(figure: str, text: str) -> PublishedCell:
    """A published figure that needs training."""
    return PublishedCell(figure, text, published_value=float(text), verdict=TRAINING)


def ours_alone(figure: str, text: str, value: float) -> PublishedCell:
    """A figure of ours for which the paper prints none."""
    return PublishedCell(figure, "", text, our_value=value, verdict="")


def compared(
    figure: str, printed: Printed, ours: Number, *, reproduced: bool = False, notes: Iterable[str] = ()
) -> PublishedCell:
    """A published cost compared with ours; without a value of ours it was not measured, for the number's own reason."""
    unit = 1e9 if printed.size == 1e9 else 1.0
    value = printed.value / unit
    if ours.value is None:
        return PublishedCell(figure, printed.text, published_value=value, why=ours.why)
    return PublishedCell(
        figure,
        printed.text,
        printed.format_finer(ours.value),
        value,
        ours.value / unit,
        deviation(ours.value, printed.value),
        REPRODUCED if reproduced else DIFFERS,
        "; ".join(note for note in (*notes, ours.why) if note),
    )


def deviation(ours: float, published: float) -> str:
    """Of ours from the published value, in per cent of that; empty where that is 0."""
    if not published:
        return ""
    # Adding zero turns what rounds to minus zero into zero.
    percent = round(100 * (ours / published - 1), 1) + 0.0
    text = f"{percent:+,.0f}" if abs(percent) >= 9.95 else f"{percent:+.1f}"
    return f"{text.replace('-', '−')} %"


def _places(text: str) -> int:
    return len(text.partition(".")[2])
