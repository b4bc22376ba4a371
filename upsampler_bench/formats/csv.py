"""A tidy CSV: one row for each operator, backend and condition, units in the header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping

from upsampler_bench.report.parts import NOTHING, Column, Report, Row, Table

# What may begin with a sign, with or without the paper's unit.
NUMBER = re.compile(r"[+-]?[\d.,]+(e[+-]?\d+)?( ?[%KMG])?", re.IGNORECASE)
FILE, PUBLISHED = "report.csv", "published.csv"
SPELLED = {"×": "", "%": "percent", "images/s": "images_per_second"}
PUBLISHED_HEADER = (
    *("table", "upsampler", "figure", "published", "ours", "published_value", "our_value"),
    *("deviation", "verdict", "why"),
)


def files(report: Report) -> dict[str, bytes]:
    """report.csv, and published.csv if anything is compared with the paper."""
    compared = {PUBLISHED: published(report).encode()} if report.published else {}
    return {FILE: show(report).encode(), **compared}


def show(report: Report) -> str:
    """The rows of all tables under one header; a column that a table lacks is empty in its rows."""
    notes = dict(report.footnotes)
    rows = [_fields(table, row, notes) for table in report.tables for row in table.rows]
    last = ("status", "reason", "notes")
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in last]
    out = io.StringIO()
    header = [*(names or ["upsampler"]), *last]
    writer = csv.DictWriter(out, header, restval="", lineterminator="\n")
    writer.writerow({name: _text(name) for name in header})
    writer.writerows({name: _text(text) for name, text in row.items()} for row in rows)
    return out.getvalue()


def published(report: Report) -> str:
    """One row for each figure of each row of a published table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(PUBLISHED_HEADER)
    for table in report.published:
        for row in table.rows:
            for cell in row.cells:
                values = ("" if value is None else f"{value:.10g}" for value in (cell.published_value, cell.our_value))
                texts = (cell.deviation, cell.verdict, cell.why)
                names = (table.name, row.name, cell.figure, cell.published, cell.ours)
                writer.writerow(map(_text, (*names, *values, *texts)))
    return out.getvalue()


def _fields(table: Table, row: Row, notes: Mapping[str, str]) -> dict[str, str]:
    fields = {"upsampler": row.operator or row.name, **({"backend": row.backend} if row.backend else {})}
    fields |= {name: str(value) for name, value in table.condition.items()}
    for place, column in enumerate(table.columns):
        fields.update(_numbers(table, place, column, row))
    return {**fields, "status": row.status, "reason": row.reason, "notes": _notes(table, row, notes)}


def _notes(table: Table, row: Row, notes: Mapping[str, str]) -> str:
    """The footnotes of the row's cells, such as which operations its FLOPs leave out."""
    cells = zip(table.columns, row.cells, strict=True)
    return "; ".join(f"{column.title}: {notes[mark]}" for column, cell in cells for mark in cell.marks)


def _numbers(table: Table, place: int, column: Column, row: Row) -> Iterator[tuple[str, str]]:
    cell, spelled = row.cells[place], SPELLED.get(column.unit, column.unit)
    unit = f"_{spelled.lower()}" if spelled else ""
    if column.words:
        yield column.name, cell.text if cell.text != NOTHING else ""
        return
    yield f"{column.name}{unit}", _plain(cell.value)
    if any(other.cells[place].low is not None for other in table.rows):
        yield f"{column.name}_low{unit}", _plain(cell.low)
        yield f"{column.name}_high{unit}", _plain(cell.high)


def _text(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not NUMBER.fullmatch(text) else text


def _plain(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.10g}"
