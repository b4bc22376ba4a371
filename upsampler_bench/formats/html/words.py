"""What the page's template asks of a report's parts: a cell's look, a table's condition, a verdict's sign."""

from __future__ import annotations

import math
from collections.abc import Sequence

from upsampler_bench.case import QUALITY
from upsampler_bench.figures.palette import family
from upsampler_bench.paper.parts import PublishedTable
from upsampler_bench.report.parts import NOTHING, Cell, Report, Row, Table
from upsampler_bench.units import counted

__all__ = ["family"]

# So many tables have their rows in the page from the start; those of the others wait until their table is near.
AT_ONCE = 30
# A sign and words, so that no verdict rests on a colour alone.
VERDICTS = {"reproduced": "✓", "differs": "≠", "another device": "·", "needs training": "◷", "not measured": "∅"}


def is_measured(table: Table) -> bool:
    """Whether a table is of costs, with at least one number, and not of capabilities or quality."""
    return not table.compact and table.condition.get("mode") != QUALITY and any_number(table)


def any_number(table: Table) -> bool:
    """Whether a table has a number at all."""
    return any(number(cell.value) for row in table.rows for cell in row.cells)


def of_words(table: Table) -> bool:
    """Whether a table's cells are words, as a budget's are, so that no numbers are missing in it."""
    return bool(table.columns) and all(column.words for column in table.columns)


def number(value: float | None) -> str:
    """A cell's number for the script that sorts; empty where there is no number."""
    return repr(float(value)) if value is not None and math.isfinite(value) else ""


def look(cell: Cell) -> str:
    """The cell's class: a number, a yes, a no, another word, or nothing."""
    if cell.text == "no":
        return "no"
    if cell.value is None:
        return "none" if cell.text == NOTHING else "word"
    return "yes" if cell.text == "yes" else "number"


def interval(cell: Cell) -> str:
    """The cell's interval, also where it is not printed by default."""
    if cell.interval or cell.low is None or cell.high is None:
        return cell.interval
    return f"{cell.low:.4g}–{cell.high:.4g}"


def condition(table: Table, name: str) -> str:
    """A part of the table's condition; the device by its maker's name where that is known."""
    device = table.condition.get("device_name") if name == "device" else ""
    return str(device or table.condition.get(name, ""))


def incomplete(table: Table) -> list[tuple[int, Row]]:
    """The rows that state why numbers are missing, with their positions in the table."""
    rows = table.incomplete
    return [(place, row) for place, row in enumerate(table.rows) if row in rows]


def lead(report: Report) -> str:
    """The report's extent in one line."""
    parts = []
    if report.operators:
        parts.append(counted(len({row.operator for table in report.tables for row in table.rows}), "operator"))
    parts.append(counted(len(report.tables), "table"))
    if report.operators or report.pictures:
        parts.append(counted(len(report.pictures), "picture"))
    incomplete_rows = sum(len(table.incomplete) for table in report.tables)
    if incomplete_rows:
        parts.append(f"{counted(incomplete_rows, 'row')} with missing results")
    return " · ".join(parts)


def verdict(text: str) -> str:
    """A verdict's sign and word; where the paper prints nothing, that the figure is ours alone."""
    return f"{VERDICTS[text]} {text}" if text else "ours alone"


def verdicts(tables: Sequence[PublishedTable]) -> list[str]:
    """How many cells have each verdict, e.g. "✓ 12 reproduced"."""
    counts = {name: sum(table.count(name) for table in tables) for name in VERDICTS}
    return [f"{VERDICTS[name]} {count} {name}" for name, count in counts.items() if count]


def reasons(table: PublishedTable) -> list[str]:
    """The reasons of a table's cells, each once: they are numbered in this order."""
    return list(dict.fromkeys(cell.why for row in table.rows for cell in row.cells if cell.why))
