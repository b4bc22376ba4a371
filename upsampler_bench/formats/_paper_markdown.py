"""The section of a Markdown report that holds the paper's figures against ours."""

from __future__ import annotations

from collections.abc import Iterator

from upsampler_bench.formats import _paper
from upsampler_bench.formats._escape import markdown
from upsampler_bench.paper.parts import PublishedTable
from upsampler_bench.paper.reproduction import summary
from upsampler_bench.report.parts import Report


def section(report: Report) -> Iterator[str]:
    """Line by line; nothing where no published figure is held against ours."""
    if not report.published:
        return
    yield from ("", f"## {_paper.HEADING}", "", markdown(summary(report.published)), "", f"Key: {_paper.KEY}.")
    for table in report.published:
        yield from ("", f"### {markdown(table.title)}", "", *rows(table), "", markdown(table.about))
        said = [f"- {markdown(what)}: {markdown(why)}" for what, why in _paper.reasons(table)]
        yield from ["", *said] if said else []


def rows(table: PublishedTable) -> Iterator[str]:
    """The table alone, line by line."""
    yield _row(["Upsampler", *map(markdown, table.figures)])
    yield _row([":--", *("--:" for _ in table.figures)])
    for row in table.rows:
        cells = (_paper.compact(_paper.find(row, figure)) for figure in table.figures)
        yield _row([markdown(row.name), *map(markdown, cells)])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
