"""Published figures and ours as a long CSV: one row a figure of a row of a table."""

from __future__ import annotations

import csv
import io

from upsampler_bench.report.parts import Report

FILE = "published.csv"
HEADER = (
    *("table", "upsampler", "figure", "published", "ours", "published_value", "our_value"),
    *("deviation", "verdict", "why"),
)


def text(report: Report) -> str:
    """All cells under one header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for table in report.published:
        for row in table.rows:
            for cell in row.cells:
                values = (_plain(cell.published_value), _plain(cell.our_value))
                said = (cell.deviation, cell.verdict, cell.why)
                writer.writerow((table.name, row.name, cell.figure, cell.published, cell.ours, *values, *said))
    return out.getvalue()


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
