"""Capabilities as a table: a row per operator and backend, a yes or no per capability, a footnote per reason."""

from __future__ import annotations

from collections.abc import Mapping

from upsampler_bench import units
from upsampler_bench.report import footnotes
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.parts import Cell, Column, Table
from upsampler_bench.report.tables import row, stated
from upsampler_bench.results import MetricInfo


def table(condition: Condition, marks: Mapping[str, str]) -> Table:
    """The table of one condition under which capabilities were tested; `marks` are the footnotes' marks by text."""
    metrics = condition.metrics
    # Seconds are not converted to milliseconds: compiling takes that long.
    columns = tuple(
        Column(info.name, info.title, "s" if info.unit == "s" else units.unit(info.unit).name, place)
        for place, info in enumerate(metrics)
    )
    rows = tuple(row(condition, line, tuple(_cell(line, info, marks) for info in metrics)) for line in condition.lines)
    where = stated(condition) | {"mode": condition.case.mode}
    return Table(f"Capabilities at {condition.words}", columns, rows, where, compact=True)


def _cell(line: Line, info: MetricInfo, marks: Mapping[str, str]) -> Cell:
    answer, own = line.answer(info), footnotes.marks_of(line, info, marks)
    if answer is None or not answer.samples:
        return Cell(marks=own)
    value = answer.samples[0]
    return Cell(str(answer.facts.get("shown", _text(value, info.unit))), value, marks=own)


def _text(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.1f}"
    if not value:
        return "no"
    return "yes" if unit == "bool" else units.exact(value)
