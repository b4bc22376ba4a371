"""Pictures as plain data for the page's scripts, each with its numbers as a table for whoever cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from upsampler_bench.report.parts import Cell, Report, Table
from upsampler_bench.report.pictures import (
    BarChart,
    Curve,
    Curves,
    Panel,
    Picture,
    Point,
    Reached,
    Roofline,
    Scatter,
)

NONE = "–"


def shown(picture: Picture, report: Report) -> dict[str, Any]:
    """A picture's own fields, what kind it is, whether it is empty, whom it names, and its numbers."""
    return asdict(picture) | KINDS[type(picture)](picture, report)


def _panel(panel: Panel, report: Report) -> dict[str, Any]:
    charts = [_chart(one, report) for one in panel.charts]
    names = list(dict.fromkeys(bar.name for chart in panel.charts for bar in chart.bars))
    texts = [{bar.name: _bar(bar.text, bar.low, bar.high) for bar in chart.bars} for chart in panel.charts]
    head = ["Upsampler", *(f"{one.title} ({one.axis})" if one.axis else one.title for one in panel.charts)]
    return {
        "kind": "panel",
        "empty": not any(bar.value is not None for chart in panel.charts for bar in chart.bars),
        "charts": charts,
        "ratios": any(bar["ratio"] for chart in charts for bar in chart["bars"]),
        "names": names,
        "numbers": _numbers(head, ([name, *(one.get(name, NONE) for one in texts)] for name in names)),
    }


def _bar(text: str, low: float | None, high: float | None) -> str:
    return text if low is None or high is None else f"{text} ({low:.4g}–{high:.4g})"


def _chart(chart: BarChart, report: Report) -> dict[str, Any]:
    ratios = _ratios(chart, report.tables)
    return asdict(chart) | {"bars": [asdict(bar) | {"ratio": ratios.get(bar.name)} for bar in chart.bars]}


def _ratios(chart: BarChart, tables: Sequence[Table]) -> dict[str, tuple[float | None, ...]]:
    """Each bar over the baseline's, with its interval: paired by round where the table of these numbers has it."""
    if not chart.baseline or chart.dots:
        return {}
    plain = {bar.name: (bar.value / chart.baseline, None, None) for bar in chart.bars if bar.value is not None}
    for table in tables:
        own, paired = _column(table, chart.name), _column(table, f"{chart.name}_ratio")
        if all(bar.name in own and own[bar.name].value == bar.value for bar in chart.bars):
            better = {name: (one.value, one.low, one.high) for name, one in paired.items() if one.value is not None}
            return {**plain, **better}
    return {**plain}


def _column(table: Table, name: str) -> dict[str, Cell]:
    place = next((place for place, one in enumerate(table.columns) if one.name == name), None)
    return {} if place is None else {row.name: row.cells[place] for row in table.rows}


def _scatter(scatter: Scatter, _: Report) -> dict[str, Any]:
    sized, sourced = bool(scatter.size_title), any(one.source for one in scatter.points)
    head = ["Upsampler", scatter.x_axis, scatter.y_axis]
    head += [scatter.size_title] * sized + ["Whose figures"] * sourced

    def row(one: Point) -> list[str]:
        first = [one.name, _bar(_short(one.x), *_between(one.x, one.low, one.high)), _short(one.y)]
        return [*first, *[_short(one.size)] * sized, *[one.source] * sourced]

    return _told("scatter", scatter.points, _numbers(head, map(row, scatter.points)))


def _curves(curves: Curves, _: Report) -> dict[str, Any]:
    sizes = sorted({x for one in curves.curves for x, *_ in one.points})

    def row(one: Curve) -> list[str]:
        found = {x: _bar(_short(y), *_between(y, low, high)) for x, y, low, high in one.points}
        return [one.name, NONE if one.slope is None else f"{one.slope:.2f}", *(found.get(x, NONE) for x in sizes)]

    head = ["Upsampler", "Slope", *(f"{curves.y_axis} at {_short(x)}" for x in sizes)]
    drawn = [one for one in curves.curves if one.points]
    return _told("curves", drawn, _numbers(head, map(row, curves.curves)))


def _roofline(roofline: Roofline, _: Report) -> dict[str, Any]:
    head = ["Upsampler", "Multiply-adds a byte", "Multiply-adds a second", "Bytes a second", "Of the roof above it"]

    def row(one: Reached) -> list[str]:
        rates = [_short(one.intensity), _short(one.multiplying), _short(one.copying)]
        return [one.name, *rates, f"{one.share:.1%}{'' if one.intensity else ' of a copy'}"]

    return _told("roofline", roofline.points, _numbers(head, map(row, roofline.points)))


def _told(kind: str, drawn: Sequence[Any], numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "empty": not drawn, "names": [one.name for one in drawn], "numbers": numbers}


def _numbers(head: list[str], rows: Iterable[list[str]]) -> dict[str, Any]:
    return {"head": head, "rows": list(rows)}


def _between(value: float, low: float, high: float) -> tuple[float | None, float | None]:
    """The interval, or nothing where it is the value alone."""
    return (None, None) if low == value == high else (low, high)


def _short(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1e6 else f"{value:.3e}"


KINDS: Mapping[type, Callable[[Any, Report], dict[str, Any]]] = {
    Panel: _panel,
    Scatter: _scatter,
    Curves: _curves,
    Roofline: _roofline,
}
