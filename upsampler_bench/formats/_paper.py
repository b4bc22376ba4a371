"""Published tables as tables of a report, so that each text format renders them like any other."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from upsampler_bench.paper.parts import DIFFERS, ELSEWHERE, MISSING, REPRODUCED, PublishedCell, PublishedTable
from upsampler_bench.report.parts import NOTHING, Cell, Column, Row, Table

HEADING = "Compared with the paper"
SIGNS = {REPRODUCED: "✓", DIFFERS: "≠", MISSING: NOTHING}
KEY = "Key: published → ours; ✓ reproduced, ≠ differs, – not measured; no sign: not compared."


def as_table(table: PublishedTable) -> Table:
    """A column for each figure; a cell holds both numbers and the verdict: '+34.4 → +34.43 ✓'."""
    columns = tuple(Column(figure, figure) for figure in table.figures)
    rows = tuple(Row(row.name, tuple(Cell(_both(row.cell(figure))) for figure in table.figures)) for row in table.rows)
    return Table(table.title, columns, rows)


def side_by_side(table: PublishedTable) -> Table:
    """A column for the published figures and one for ours; only one of them if the other is empty."""
    columns: list[tuple[Column, list[str]]] = []
    for figure in table.figures:
        cells = [row.cell(figure) or PublishedCell(figure, "") for row in table.rows]
        theirs = [cell.published or NOTHING for cell in cells]
        ours = [f"{cell.ours} ≠" if cell.verdict == DIFFERS else cell.ours or NOTHING for cell in cells]
        is_compared = any(cell.published and cell.verdict in SIGNS for cell in cells)
        if is_compared or any(cell.published for cell in cells):
            columns.append((Column(figure, figure, "published"), theirs))
        if is_compared or any(cell.ours for cell in cells):
            columns.append((Column(figure, figure, "ours"), ours))
    rows = (Row(row.name, tuple(Cell(texts[place]) for _, texts in columns)) for place, row in enumerate(table.rows))
    return Table(table.title, tuple(column for column, _ in columns), tuple(rows))


def reasons(table: PublishedTable, verdicts: Collection[str] = (*SIGNS, ELSEWHERE)) -> Iterator[tuple[str, str]]:
    """Each reason once, after what it applies to: ('GFLOPs and Params of deconv, reproduced', why)."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for row in table.rows:
        for cell in row.cells:
            if cell.why and cell.verdict in verdicts:
                rows.setdefault((cell.verdict, cell.why, cell.figure), []).append(row.name)
    figures: dict[tuple[str, str, str], list[str]] = {}
    for (verdict, why, figure), names in rows.items():
        figures.setdefault((verdict, why, ", ".join(names)), []).append(figure)
    for (verdict, why, shared_rows), shared in figures.items():
        yield f"{' and '.join(shared)} of {shared_rows}, {verdict}", why


def _both(cell: PublishedCell | None) -> str:
    if cell is None:
        return NOTHING
    if cell.verdict not in SIGNS:
        return " → ".join(text for text in (cell.published, cell.ours) if text)
    return f"{cell.published} {f'→ {cell.ours} ' if cell.ours else ''}{SIGNS[cell.verdict]}"
