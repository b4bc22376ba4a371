"""The key of a figure: what its marks mean."""

from __future__ import annotations

from collections.abc import Callable

from _canvas import PANEL
from _panels import INK, TINY, arrow, circles, field, frame, square
from _sections import FigureOf
from matplotlib.axes import Axes
from torch import tensor


def draw_key(axes: Axes, what: FigureOf, shade: str) -> None:
    """Says what the marks mean; an input pixel of the figure's panels is one unit here too."""
    wide, _ = axes.get_figure().get_size_inches()
    axes.set(xlim=(0, axes.get_position().width * wide * what.span / PANEL), ylim=(what.span, 0))
    axes.axis("off")
    kinds = (*what.key, "pixel", "sum" if what.sums else "field")
    texts = [(KEY[kind], TEXTS[kind]) for kind in kinds]
    lines = [text.count("\n") + 1.75 for _, text in texts]
    y = what.span * 0.02
    for (glyph, text), each in zip(texts, lines, strict=True):
        share = what.span * 0.96 * each / sum(lines)
        glyph(axes, 0.2 * what.span, y + share / 2, shade)
        axes.text(0.42 * what.span, y + share / 2, text, fontsize=TINY, color=INK, va="center", linespacing=1.15)
        y += share


def _square(axes: Axes, x: float, y: float, shade: str) -> None:
    for left, weight in ((-0.25, 0.5), (0.5, 0.1)):
        square(axes, x + left, y, weight, shade)


def _hollow(axes: Axes, x: float, y: float, shade: str) -> None:
    for left, weight in ((-0.25, -0.5), (0.5, -0.1)):
        square(axes, x + left, y, weight, shade)


def _circle(axes: Axes, x: float, y: float, shade: str) -> None:
    circles(axes, ((x - 0.3, y, 0.3, 0), (x + 0.5, y, 0.3, 1)), shade)


def _arrow(axes: Axes, x: float, y: float, shade: str) -> None:
    arrow(axes, (x - 0.3, y), (x + 0.3, y), shade)


def _lookup(axes: Axes, x: float, y: float, shade: str) -> None:
    arrow(axes, (x - 0.5, y), (x + 0.5, y), INK)


def _gate(axes: Axes, x: float, y: float, shade: str) -> None:
    square(axes, x, y, 0.25, INK)


def _pixel(axes: Axes, x: float, y: float, shade: str) -> None:
    frame(axes, x - 0.25, y - 0.25, 0.5)


def _field(axes: Axes, x: float, y: float, shade: str) -> None:
    field(axes, [(tensor([x - 0.5, y]), tensor([x + 0.4, y]))], shade)


def _sum(axes: Axes, x: float, y: float, shade: str) -> None:
    for left, weight in ((-0.4, "#ffffff"), (0.3, shade)):
        square(axes, x + left, y, 0.3, weight)


KEY: dict[str, Callable[[Axes, float, float, str], None]] = {
    "square": _square,
    "hollow": _hollow,
    "circle": _circle,
    "arrow": _arrow,
    "lookup": _lookup,
    "gate": _gate,
    "pixel": _pixel,
    "field": _field,
    "sum": _sum,
}
TEXTS = {
    "square": "pixels that it reads: area = weight (here 0.5\nand 0.1; a weight of 1 covers an input pixel)",
    "hollow": "hollow: negative weights",
    "circle": "points that it reads: area = weight (here 0.3);\nlight and dark: the two groups of channels",
    "arrow": "from the output pixel's middle to the point\nthat it reads; an arrow for each group of channels",
    "lookup": "from the input pixel's middle to where the\nkernel is looked up",
    "gate": "fade-gated: the guide's own pixel, by the gate",
    "pixel": "the output pixel",
    "field": "every output pixel near the edge: from its\nmiddle to the mean of what it reads",
    "sum": "sum of an output pixel's weights: 0 and 1",
}
