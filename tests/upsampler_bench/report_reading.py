"""A few operators of the made-up run, and how tests look a number up in a report."""

from dataclasses import replace

from sample_run import FIGURES

from upsampler_bench.case import Case
from upsampler_bench.report.parts import Cell, Report, Row
from upsampler_bench.results import Measurement, Reading, Run

FEW = {name: FIGURES[name] for name in ("bilinear", "carafe", "dysample")}


def cell(made: Report, name: str, column: str, table: int = 0) -> Cell:
    one = made.tables[table]
    place = [column.name for column in one.columns].index(column)
    return row(made, name, table).cells[place]


def row(made: Report, name: str, table: int = 0) -> Row:
    return next(row for row in made.tables[table].rows if row.name == name)


def columns(made: Report, table: int = 0) -> list[str]:
    return [column.name for column in made.tables[table].columns]


def with_reading(run: Run, case: Case, reading: Reading) -> Run:
    found = run.measurement(case) or Measurement(case)
    kept = tuple(one for one in found.readings if one.metric != reading.metric)
    return run.with_measurement(replace(found, readings=(*kept, reading)))
