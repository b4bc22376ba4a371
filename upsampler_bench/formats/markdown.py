"""Markdown as GitHub shows it: for a README or a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from upsampler_bench.formats import _paper
from upsampler_bench.paper.tables import summary
from upsampler_bench.report.parts import Cell, Report, Table

FILE = "report.md"
ESCAPES = str.maketrans({letter: f"\\{letter}" for letter in "\\|*_`<>[]#~"} | {"\n": " ", "\r": " "})


def files(report: Report) -> dict[str, bytes]:
    """report.md."""
    return {FILE: show(report).encode()}


def show(report: Report) -> str:
    """Tables first, then the comparison with the paper, what the columns mean and how they were measured."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def rows(table: Table) -> Iterator[str]:
    """The table alone, line by line."""
    yield _row([escaped(table.subject), *(escaped(table.columns[place].heading) for place in table.shown)])
    yield _row([":--", *("--:" for _ in table.shown)])
    for row in table.rows:
        name = escaped(row.name)
        name = f"**{name}**" if row.baseline else name
        yield _row([name, *(_cell(row.cells[place]) for place in table.shown)])


def _lines(report: Report) -> Iterator[str]:
    yield from (f"# {escaped(report.title)}", "")
    if report.warning:
        yield from (f"> **{escaped(report.warning)}**", "")
    for table in report.tables:
        yield from (f"## {escaped(table.title)}", "", *rows(table), "")
        if table.incomplete:
            reasons = [f"- {escaped(row.name)}: {escaped(row.explanation)}" for row in table.incomplete]
            yield from ("Missing or incomplete results:", "", *reasons, "")
    yield from (f"<sup>{mark}</sup> {escaped(text)}  " for mark, text in report.footnotes)
    for table in report.profiles:
        yield from ("", f"### {escaped(table.title)}", "", *rows(table))
    yield from _paper_section(report)
    yield from _section("What the columns mean", report.legend)
    yield from _section("How each column was measured", [method.words for method in report.methods])
    yield from _section("Environment and protocol", report.facts)


def _paper_section(report: Report) -> Iterator[str]:
    if not report.published:
        return
    yield from ("", f"## {_paper.HEADING}", "", escaped(summary(report.published)), "", _paper.KEY)
    for table in report.published:
        yield from ("", f"### {escaped(table.title)}", "", *rows(_paper.as_table(table)), "", escaped(table.about))
        reasons = [f"- {escaped(what)}: {escaped(why)}" for what, why in _paper.reasons(table)]
        if reasons:
            yield from ("", *reasons)


def _section(title: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
    lines = [f"- **{escaped(name)}**: {escaped(text)}" for name, text in pairs]
    return ["", f"### {title}", "", *lines] if lines else []


def _cell(cell: Cell) -> str:
    interval = f" ({cell.interval})" if cell.interval else ""
    marks = f" <sup>{','.join(cell.marks)}</sup>" if cell.marks else ""
    return f"{escaped(cell.text)}{interval}{marks}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """A text as Markdown shows it, letter by letter."""
    return text.translate(ESCAPES)
