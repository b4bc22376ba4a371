"""The numbers of each picture as a CSV beside it: one row an operator (and size, or source), units in the header."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from upsampler_bench.report.pictures import BarChart, Curves, Panel, Picture, Roofline, Scatter

Cell: TypeAlias = str | float | None
LOG = ", log scale", " (log scale)"


def table(picture: Picture) -> str:
    """The picture's numbers as a CSV with one header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([_plain(cell) for cell in row] for row in ROWS[type(picture)](picture))
    return out.getvalue()


def _panel(panel: Panel) -> Iterator[Sequence[Cell]]:
    """A column a chart, with its interval where it has one, and why a number lacks."""
    shown = [(chart, any(bar.low is not None for bar in chart.bars)) for chart in panel.charts]
    yield ["upsampler", *(title for chart, spread in shown for title in _titles(chart, spread)), "reason"]
    for place, first in enumerate(panel.charts[0].bars):
        row: list[Cell] = [first.name]
        for chart, spread in shown:
            bar = chart.bars[place]
            row += [bar.value, bar.low, bar.high] if spread else [bar.value]
        lacking = [chart for chart in panel.charts if chart.bars[place].value is None]
        yield [*row, "; ".join(f"{chart.title}: {chart.bars[place].text}" for chart in lacking)]


def _titles(chart: BarChart, spread: bool) -> list[str]:
    unit = _linear(chart.axis)
    names = [chart.title, *([f"{chart.title}, low", f"{chart.title}, high"] if spread else [])]
    return [f"{name} ({unit})" if unit else name for name in names]


def _scatter(scatter: Scatter) -> Iterator[Sequence[Cell]]:
    x, fronts = _linear(scatter.x_axis), bool(scatter.front)
    sources, sizes = any(one.source for one in scatter.points), bool(scatter.size_title)
    head: list[Cell] = ["upsampler", *(["source"] if sources else []), x, f"{x}, low", f"{x}, high"]
    head += [_linear(scatter.y_axis), *([f"area: {scatter.size_title}"] if sizes else [])]
    yield [*head, *(["on the front", "on the front of those with parameters"] if fronts else [])]
    for one in scatter.points:
        row: list[Cell] = [one.name, *([one.source] if sources else []), one.x, one.low, one.high, one.y]
        row += [one.size] if sizes else []
        inner = scatter.learned or scatter.front
        yield [*row, *([_yes(one.name in scatter.front), _yes(one.name in inner)] if fronts else [])]


def _curves(curves: Curves) -> Iterator[Sequence[Cell]]:
    x, y = _linear(curves.x_axis), _linear(curves.y_axis)
    yield ["upsampler", x, y, f"{y}, low", f"{y}, high", "slope of the curve (log over log)"]
    for curve in curves.curves:
        yield from ([curve.name, *point, curve.slope] for point in curve.points)


def _roofline(roofline: Roofline) -> Iterator[Sequence[Cell]]:
    """The two rates of the device stand in every row, so that each can be read alone."""
    rates = "copy (B/s)", "products (multiply-adds/s)"
    own = "intensity (multiply-adds/B)", "reached (multiply-adds/s)", "reached (B/s)", "bound (multiply-adds/s)"
    yield ["upsampler", *own, "share of its bound", *rates]
    for one in roofline.points:
        found: list[Cell] = [one.intensity, one.multiplying, one.copying, one.bound or None, one.share]
        yield [one.name, *found, roofline.copying, roofline.multiplying]


ROWS: Mapping[type, Callable[[Any], Iterator[Sequence[Cell]]]] = {
    Panel: _panel,
    Scatter: _scatter,
    Curves: _curves,
    Roofline: _roofline,
}


def _linear(axis: str) -> str:
    """An axis' words without its scale: numbers in a file are as they are."""
    for words in LOG:
        axis = axis.replace(words, "")
    return axis if axis != "log scale" else ""


def _yes(one: bool) -> str:
    return "yes" if one else "no"


def _plain(cell: Cell) -> str:
    if cell is None or isinstance(cell, str):
        return cell or ""
    return f"{cell:.10g}"
