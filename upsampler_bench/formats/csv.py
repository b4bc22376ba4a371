"""A tidy CSV: one row an operator and condition, units in the header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from upsampler_bench.formats import _paper_csv
from upsampler_bench.report.parts import NOTHING, Cell, Column, Report, Row, Table

ABOUT = (
    "one row an operator and condition, units in the header; the paper's figures and ours (report.csv, published.csv)"
)
FILE = "report.csv"
SPELLED = {"×": "", "%": "percent"}


def files(report: Report) -> dict[str, bytes]:
    """report.csv, and published.csv where a published figure is held against ours."""
    held = {_paper_csv.FILE: _paper_csv.text(report).encode()} if report.published else {}
    return {FILE: show(report).encode(), **held}


def show(report: Report) -> str:
    """The rows of all tables under one header; a column that a table lacks is empty in its rows."""
    notes = dict(report.footnotes)
    rows = [_fields(table, row, notes) for table in report.tables for row in table.rows]
    header = dict.fromkeys(name for row in rows for name in row if name not in ("status", "reason"))
    out = io.StringIO()
    writer = csv.DictWriter(out, [*(header or ["upsampler"]), "status", "reason"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _fields(table: Table, row: Row, notes: Mapping[str, str]) -> dict[str, str]:
    condition = {name: str(value) for name, value in table.condition.items()}
    numbers = dict(one for place, column in enumerate(table.columns) for one in _numbers(table, place, column, row))
    return {"upsampler": row.name, **condition, **numbers, "status": row.status, "reason": _reason(table, row, notes)}


def _reason(table: Table, row: Row, notes: Mapping[str, str]) -> str:
    """Why the row is not whole; of capabilities also what each of its marks stands for."""
    cells = zip(table.columns, row.cells, strict=True) if table.compact else ()
    marked = [f"{column.title}: {notes[mark]}" for column, cell in cells for mark in cell.marks]
    return "; ".join([*([row.reason] if row.reason else []), *marked])


def _numbers(table: Table, place: int, column: Column, row: Row) -> Iterator[tuple[str, str]]:
    cell, spelled = row.cells[place], SPELLED.get(column.unit, column.unit)
    unit = f"_{spelled.lower()}" if spelled else ""
    if column.words:
        yield column.name, cell.text if cell.text != NOTHING else ""
        return
    yield f"{column.name}{unit}", _plain(cell.value)
    if any(_has_interval(one.cells[place]) for one in table.rows):
        yield f"{column.name}_low{unit}", _plain(cell.low)
        yield f"{column.name}_high{unit}", _plain(cell.high)


def _has_interval(cell: Cell) -> bool:
    return cell.low is not None


def _plain(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.10g}"
