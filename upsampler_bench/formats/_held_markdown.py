"""The section of a Markdown report that holds the paper's figures against ours."""

from __future__ import annotations

from collections.abc import Iterator

from upsampler_bench.formats import _held
from upsampler_bench.formats._escape import markdown
from upsampler_bench.report.held import summary
from upsampler_bench.report.parts import PublishedTable, Report


def section(report: Report) -> Iterator[str]:
    """Line by line; nothing where no published figure is held against ours."""
    if not report.published:
        return
    yield from ("", f"## {_held.HEADING}", "", markdown(summary(report.published)), "", f"Key: {_held.KEY}.")
    for table in report.published:
        yield from ("", f"### {markdown(table.title)}", "", *rows(table), "", markdown(table.about))
        said = [f"- {markdown(what)}: {markdown(why)}" for what, why in _held.reasons(table)]
        yield from ["", *said] if said else []


def rows(table: PublishedTable) -> Iterator[str]:
    """The table alone, line by line."""
    yield _row(["Upsampler", *map(markdown, table.figures)])
    yield _row([":--", *("--:" for _ in table.figures)])
    for row in table.rows:
        cells = (_held.compact(_held.find(row, figure)) for figure in table.figures)
        yield _row([markdown(row.name), *map(markdown, cells)])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
