"""What was tried of each operator as a table: a row an operator, a yes or no a capability, a mark for every reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from upsampler_bench import units
from upsampler_bench.report import footnotes
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.parts import Cell, Column, Row, Table
from upsampler_bench.report.tables import CONDITION, present
from upsampler_bench.results import MetricInfo, Run

NO = "no"


def table(run: Run, condition: Condition, marks: Mapping[str, str]) -> Table:
    """The table of one condition in which capabilities were tried; `marks` are the footnotes' marks by text."""
    infos = present(run, condition)
    # Seconds, since what is waited for here takes that long.
    columns = tuple(
        Column(info.name, info.title, "s" if info.unit == "s" else units.unit(info.unit).name, place)
        for place, info in enumerate(infos)
    )
    rows = tuple(_row(run, line, infos, marks) for line in condition.lines)
    where = {name: value for name, value in asdict(condition.case).items() if name in CONDITION}
    how = {"device_name": run.environment.device_name, "mode": condition.case.mode}
    return Table(f"Capabilities at {condition.words}", columns, rows, where | how, compact=True)


def _row(run: Run, line: Line, infos: list[MetricInfo], marks: Mapping[str, str]) -> Row:
    cells = tuple(_cell(run, line, info, marks) for info in infos)
    return Row(line.name, cells, line.status, line.reason)


def _cell(run: Run, line: Line, info: MetricInfo, marks: Mapping[str, str]) -> Cell:
    reading = line.read(info)
    said = footnotes.marks_of(footnotes.texts(run, line, info), marks)
    if reading is None or not reading.samples:
        return Cell(marks=said)
    value = reading.samples[0]
    return Cell(str(reading.facts.get("shown", _text(value, info.unit))), value, marks=said)


def _text(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.1f}"
    if not value:
        return NO
    return "yes" if unit == "bool" else units.exact(value)
