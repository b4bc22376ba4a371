"""The paper's figures and ours for a terminal: Fig. 1 and Table 4, how many cells hold, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.table import Table as Grid
from rich.text import Text

from upsampler_bench.formats import _paper
from upsampler_bench.paper.parts import PublishedTable
from upsampler_bench.paper.reproduction import summary
from upsampler_bench.report.parts import Report

SHOWN = ("fig1", "table4")
TOLD = ("differs", "not measured")


def parts(report: Report) -> Iterator[Text | Grid]:
    """What is printed, part by part; nothing where no published figure is held against ours."""
    if not report.published:
        return
    yield Text(f"\n{_paper.HEADING}", style="bold")
    yield Text(f"{_paper.KEY}.")
    for table in report.published:
        if table.name in SHOWN:
            yield Text(f"\n{table.title}", style="bold")
            yield _grid(table)
    left = [one.title.partition(":")[0] for one in report.published if one.name not in SHOWN]
    yield Text(f"\n{summary(report.published)}", style="bold")
    yield from [Text(f"Held against ours too, in published.csv: {', '.join(left)}.")] if left else []
    for table in report.published:
        where = table.title.partition(":")[0]
        yield from (Text(f"{where}, {what}: {why}") for what, why in _paper.reasons(table, TOLD))


def _grid(table: PublishedTable) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    grid.add_column("upsampler", no_wrap=True)
    for figure in table.figures:
        grid.add_column(Text(figure), justify="right")
    for row in table.rows:
        cells = (_paper.compact(_paper.find(row, figure)) for figure in table.figures)
        grid.add_row(Text(row.name), *(Text(one) for one in cells))
    return grid
