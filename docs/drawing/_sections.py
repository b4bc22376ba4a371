"""Which operators share a figure, and what it shows of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FigureOf:
    """One figure.

    Attributes:
        name: of its file.
        operators: a row for each.
        guided: whether the guide is shown.
        sums: shows the sum of the weights, not where they lie in the mean.
        span: the input pixels a side that are shown around a pixel.
        key: what the key explains: "square", "hollow", "circle", "arrow", "lookup", "gate".
    """

    name: str
    operators: tuple[str, ...]
    guided: bool = False
    sums: bool = False
    span: int = 5
    key: tuple[str, ...] = ("square",)


FIGURES = (
    FigureOf("interpolate", ("nearest", "bilinear", "bicubic"), key=("square", "hollow")),
    FigureOf("deconv", ("deconv",), sums=True, key=("square", "hollow")),
    FigureOf("pixel-shuffle", ("pixel-shuffle",), sums=True, key=("square", "hollow")),
    FigureOf("max-unpool", ("max-unpool",), guided=True, sums=True),
    FigureOf("carafe", ("carafe",)),
    FigureOf("indexnet", ("indexnet",), guided=True, sums=True),
    FigureOf("a2u", ("a2u",), guided=True),
    FigureOf("fade", ("fade", "fade-gated", "fade-lite"), guided=True, key=("square", "gate")),
    FigureOf("sapa", ("sapa-b",), guided=True),
    FigureOf("dysample", ("dysample", "dysample+", "dysample-s+", "dysample-naive"), span=3, key=("arrow",)),
    FigureOf("sierra", ("sierra",)),
    FigureOf("dlu", ("dlu",), key=("square", "lookup")),
    FigureOf("jbu", ("jbu",), guided=True, key=("square", "hollow")),
    FigureOf("lda-aqu", ("lda-aqu",), key=("circle",)),
)
