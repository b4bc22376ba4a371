"""What the page's template asks of a report's parts: a cell's look, a table's condition, a verdict's sign."""

from __future__ import annotations

import math
from collections.abc import Sequence

from upsampler_bench.figures.palette import colour, family
from upsampler_bench.paper.parts import PublishedCell, PublishedRow, PublishedTable
from upsampler_bench.report.parts import NOTHING, Cell, Report, Row, Table

__all__ = ["colour", "family"]

# A sign and words beside each other, so that no verdict rests on a colour.
VERDICTS = {"reproduced": "✓", "differs": "≠", "needs training": "◷", "not measured": "∅"}


def is_measured(table: Table) -> bool:
    """Whether a table is of measurements, with at least one number, and not of what was tried."""
    return not table.compact and any_number(table)


def any_number(table: Table) -> bool:
    """Whether a table has a number at all."""
    return any(number(cell.value) for row in table.rows for cell in row.cells)


def of_words(table: Table) -> bool:
    """Whether a table's cells are words, as a budget's are, so that it is none without numbers."""
    return bool(table.columns) and all(column.words for column in table.columns)


def number(value: float | None) -> str:
    """A cell's number for the script that sorts; empty where there is none."""
    return repr(float(value)) if value is not None and math.isfinite(value) else ""


def look(cell: Cell) -> str:
    """The cell's class: whether it holds a number, a no, another word, or nothing."""
    if cell.text == "no":
        return "no"
    if cell.value is None:
        return "none" if cell.text == NOTHING else "word"
    return "yes" if cell.text == "yes" else "number"


def span(cell: Cell) -> str:
    """The cell's interval, also where it is not printed by default."""
    if cell.interval or cell.low is None or cell.high is None:
        return cell.interval
    return f"{cell.low:.4g}–{cell.high:.4g}"


def condition(table: Table, name: str) -> str:
    """A part of the table's condition; the device by its maker's name where that is known."""
    parts = table.condition
    return str((parts.get("device_name") if name == "device" else "") or parts.get(name, ""))


def told(table: Table) -> str:
    """What of the condition the title leaves out."""
    return str(table.condition.get("device_name", ""))


def why(row: Row) -> str:
    """The status with its reason."""
    return f"{row.status}: {row.reason}" if row.reason else row.status


def troubled(table: Table) -> list[tuple[int, Row]]:
    """The rows that say why they are not whole, with their places in the table."""
    return [(place, row) for place, row in enumerate(table.rows) if row.reason or row.status != "measured"]


def methods(report: Report) -> list[tuple[str, str]]:
    """How columns were measured, as (columns, method)."""
    return [
        (", ".join(one.columns), f"{one.text} (rows: {', '.join(one.rows)})" if one.rows else one.text)
        for one in report.methods
    ]


def lead(report: Report) -> str:
    """The report's extent in one line."""
    operators = {row.name for table in report.tables for row in table.rows}
    troubles = sum(len(table.incomplete) for table in report.tables)
    said = [_count(len(operators), "operator")] if report.operators else []
    said.append(_count(len(report.tables), "table"))
    said += [_count(len(report.pictures), "picture")] if report.operators or report.pictures else []
    said += [f"{_count(troubles, 'row')} not measured or not in full"] if troubles else []
    return " · ".join(said)


def held(row: PublishedRow, figure: str) -> PublishedCell | None:
    """The row's cell of one figure, or None where the paper gives none."""
    return next((cell for cell in row.cells if cell.figure == figure), None)


def verdict(said: str) -> str:
    """A verdict's sign and word; where the paper prints nothing, that the figure is ours alone."""
    return f"{VERDICTS.get(said, '?')} {said}" if said else "ours alone"


def verdict_class(said: str) -> str:
    """A verdict as a class of the style sheet."""
    return f"is-{said.replace(' ', '-')}" if said in VERDICTS else "is-unknown"


def verdicts(tables: Sequence[PublishedTable]) -> list[str]:
    """How many cells have each verdict, e.g. "✓ 12 reproduced"."""
    counts = {said: sum(table.count(said) for table in tables) for said in VERDICTS}
    return [f"{VERDICTS[said]} {count} {said}" for said, count in counts.items() if count]


def noted(table: PublishedTable) -> list[str]:
    """The reasons of a table's cells, each once: they are numbered in this order."""
    return list(dict.fromkeys(cell.why for row in table.rows for cell in row.cells if cell.why))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
