"""Markdown as GitHub shows it: for a README or a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from upsampler_bench.formats import _paper_markdown
from upsampler_bench.formats._escape import markdown
from upsampler_bench.report.parts import Cell, Report, Row, Table

ABOUT = "a GitHub table, how it was measured, and where (report.md)"
FILE = "report.md"


def files(report: Report) -> dict[str, bytes]:
    """report.md."""
    return {FILE: show(report).encode()}


def show(report: Report) -> str:
    """Tables first, then the published figures beside ours, what the columns mean and how they came about."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def rows(table: Table) -> Iterator[str]:
    """The table alone, line by line."""
    headings = ["Upsampler", *(markdown(table.columns[place].heading) for place in table.shown)]
    yield _row(headings)
    yield _row([":--", *("--:" for _ in table.shown)])
    for row in table.rows:
        name = markdown(row.name)
        name = f"**{name}**" if row.baseline else name
        yield _row([name, *(_cell(row.cells[place]) for place in table.shown)])


def _lines(report: Report) -> Iterator[str]:
    yield from (f"# {markdown(report.title)}", "")
    if report.warning:
        yield from (f"> **{markdown(report.warning)}**", "")
    for table in report.tables:
        yield from (f"## {markdown(table.title)}", "", *rows(table), "", *_troubled(table))
    yield from (f"<sup>{mark}</sup> {markdown(text)}  " for mark, text in report.footnotes)
    yield from _paper_markdown.section(report)
    yield from _section("What the columns mean", report.legend)
    yield from _section("How each column was measured", _methods(report))
    yield from _section("Environment and protocol", report.facts)


def _troubled(table: Table) -> list[str]:
    said = [f"- {markdown(row.name)}: {_why(row)}" for row in table.incomplete]
    return ["Not measured, or not in full:", "", *said, ""] if said else []


def _why(row: Row) -> str:
    return markdown(f"{row.status}: {row.reason}" if row.reason else row.status)


def _methods(report: Report) -> tuple[tuple[str, str], ...]:
    return tuple((", ".join(one.columns), f"{one.text}{_only(one.rows)}") for one in report.methods)


def _only(names: tuple[str, ...]) -> str:
    return f" (rows: {', '.join(names)})" if names else ""


def _section(title: str, pairs: tuple[tuple[str, str], ...]) -> list[str]:
    lines = [f"- **{markdown(name)}**: {markdown(text)}" for name, text in pairs]
    return ["", f"### {title}", "", *lines] if lines else []


def _cell(cell: Cell) -> str:
    interval = f" ({cell.interval})" if cell.interval else ""
    marks = f" <sup>{','.join(cell.marks)}</sup>" if cell.marks else ""
    return f"{markdown(cell.text)}{interval}{marks}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
