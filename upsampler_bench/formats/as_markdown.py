"""Markdown as GitHub shows it: for a README or a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from upsampler_bench.report.parts import Cell, Report, Row, Table

ABOUT = "a GitHub table, how it was measured, and where (report.md)"
FILE = "report.md"
SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\|*_`<>[]#~"} | {"\n": " ", "\r": " "})


def files(report: Report) -> dict[str, bytes]:
    """report.md."""
    return {FILE: show(report).encode()}


def show(report: Report) -> str:
    """Tables first, then what they mean and how they came about."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def rows(table: Table) -> Iterator[str]:
    """The table alone, line by line."""
    headings = ["Upsampler", *(_escape(table.columns[place].heading) for place in table.shown)]
    yield _row(headings)
    yield _row([":--", *("--:" for _ in table.shown)])
    for row in table.rows:
        name = _escape(row.name)
        name = f"**{name}**" if row.baseline else name
        yield _row([name, *(_cell(row.cells[place]) for place in table.shown)])


def _lines(report: Report) -> Iterator[str]:
    yield from (f"# {_escape(report.title)}", "")
    if report.warning:
        yield from (f"> **{_escape(report.warning)}**", "")
    for table in report.tables:
        yield from (f"## {_escape(table.title)}", "", *rows(table), "", *_troubled(table))
    yield from (f"<sup>{mark}</sup> {_escape(text)}  " for mark, text in report.footnotes)
    yield from _section("What the columns mean", report.legend)
    yield from _section("How each column was measured", _methods(report))
    yield from _section("Environment and protocol", report.facts)


def _troubled(table: Table) -> list[str]:
    said = [f"- {_escape(row.name)}: {_why(row)}" for row in table.troubled]
    return ["Not measured, or not in full:", "", *said, ""] if said else []


def _why(row: Row) -> str:
    return _escape(f"{row.status}: {row.reason}" if row.reason else row.status)


def _methods(report: Report) -> tuple[tuple[str, str], ...]:
    return tuple((", ".join(one.columns), f"{one.text}{_only(one.rows)}") for one in report.methods)


def _only(names: tuple[str, ...]) -> str:
    return f" (rows: {', '.join(names)})" if names else ""


def _section(title: str, pairs: tuple[tuple[str, str], ...]) -> list[str]:
    lines = [f"- **{_escape(name)}**: {_escape(text)}" for name, text in pairs]
    return ["", f"### {title}", "", *lines] if lines else []


def _cell(cell: Cell) -> str:
    interval = f" ({cell.interval})" if cell.interval else ""
    marks = f" <sup>{','.join(cell.marks)}</sup>" if cell.marks else ""
    return f"{_escape(cell.text)}{interval}{marks}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    return text.translate(SPECIAL)
