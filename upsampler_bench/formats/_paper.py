"""Published figures beside ours in words that all text formats share: signs, compact cells, reasons said once."""

from __future__ import annotations

from collections.abc import Iterator

from upsampler_bench.paper.parts import PublishedCell, PublishedRow, PublishedTable
from upsampler_bench.report.parts import NOTHING

HEADING = "The paper's figures and ours"
QUOTED = "needs training"
SIGNS = {"reproduced": "✓", "differs": "≠", "not measured": "–"}
KEY = "published → ours; ✓ reproduced, ≠ differs, – not measured; without a sign: quoted, or ours alone"


def find(row: PublishedRow, figure: str) -> PublishedCell | None:
    """The row's cell of a figure, or None where the paper gives none."""
    return next((cell for cell in row.cells if cell.figure == figure), None)


def is_compared(table: PublishedTable, figure: str) -> bool:
    """Whether a column holds ours beside the published figures, rather than one of them alone."""
    return any(cell.verdict in SIGNS for row in table.rows if (cell := find(row, figure)))


def compact(cell: PublishedCell | None) -> str:
    """Both figures and the verdict in one cell: '+34.4 → +34.43 ✓'; what is quoted as it is."""
    if cell is None:
        return NOTHING
    if cell.verdict not in SIGNS:
        return cell.published or cell.ours
    ours = [f"→ {cell.ours}"] if cell.ours else []
    return " ".join([cell.published, *ours, SIGNS[cell.verdict]])


def reasons(table: PublishedTable, verdicts: tuple[str, ...] = tuple(SIGNS)) -> Iterator[tuple[str, str]]:
    """Each reason once, with the figures, rows and verdict that it is of: ('GFLOPs of deconv, reproduced', why)."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for row in table.rows:
        for cell in row.cells:
            if cell.why and cell.verdict in verdicts:
                rows.setdefault((cell.verdict, cell.why, cell.figure), []).append(row.name)
    figures: dict[tuple[str, str, str], list[str]] = {}
    for (verdict, why, figure), names in rows.items():
        figures.setdefault((verdict, why, ", ".join(names)), []).append(figure)
    for (verdict, why, named), shared in figures.items():
        yield f"{' and '.join(shared)} of {named}, {verdict}", why
