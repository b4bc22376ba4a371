"""For a terminal: the most important columns first, the rest in tables below; 80 wide and plain where it is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from upsampler_bench.formats import _paper_terminal
from upsampler_bench.report.parts import Cell, Method, Report, Row, Table

ABOUT = "for reading at once: as wide as the terminal, failures at the end (report.txt)"
FILE = "report.txt"
WIDTH = 80
GAP = 2
LONGEST = 30
STYLES = {"failed": "red", "skipped": "yellow", "interrupted": "yellow"}


def files(report: Report) -> dict[str, bytes]:
    """report.txt, plain and 80 columns wide."""
    return {FILE: draw(report, Console(width=WIDTH, color_system=None, force_terminal=False)).encode()}


def show(report: Report) -> str:
    """As wide as the terminal is; letters that its encoding lacks are replaced."""
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH, color_system=None)
    encoding = console.encoding or "utf-8"
    return draw(report, console).encode(encoding, "replace").decode(encoding)


def draw(report: Report, console: Console) -> str:
    """What this console would print."""
    with console.capture() as capture:
        for part in _parts(report, console.width):
            console.print(part, highlight=False)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _parts(report: Report, width: int) -> Iterator[Text | Grid]:
    """The circumstances first, so that the numbers and what failed stand where a terminal ends up."""
    yield Text(report.title, style="bold")
    yield from _section("Environment and protocol", list(report.facts))
    yield from _section("How each column was measured", [_method(one) for one in report.methods])
    tried = {column.title for table in report.tables if table.compact for column in table.columns}
    yield from _section("What was tried", [(name, text) for name, text in report.legend if name in tried])
    for table in report.tables:
        yield Text("\n" + table.title, style="bold")
        left = table.shown
        while left:
            places = fitting(table, width, left)
            yield _grid(table, places)
            yield Text()
            left = tuple(place for place in left if place not in places)
    if report.footnotes:
        yield from (Text(f"{mark}  {text}") for mark, text in report.footnotes)
    yield from _paper_terminal.parts(report)
    yield from _troubled(report)
    if report.warning:
        yield Text(f"\n{report.warning}", style="yellow")


def fitting(table: Table, width: int, left: tuple[int, ...]) -> list[int]:
    """Of the places that are left, those of the columns that fit beside each other, in the table's order."""
    room = width - min(max([len("upsampler"), *(len(row.name) for row in table.rows)]), LONGEST)
    kept: list[int] = []
    for place in sorted(left, key=lambda one: table.columns[one].rank):
        room -= _gap(table) + _width(table, place)
        if room < 0 and kept:
            break
        kept.append(place)
    return sorted(kept)


def _gap(table: Table) -> int:
    return 1 if table.compact else GAP


def _width(table: Table, place: int) -> int:
    column = table.columns[place]
    cells = (len(_number(row.cells[place], _room_for_marks(table, place))) for row in table.rows)
    words = (len(word) for word in column.heading.split())
    return max([*cells, *words])


def _grid(table: Table, places: list[int]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, _gap(table) - 1), show_edge=False)
    grid.add_column("upsampler", no_wrap=True, vertical="bottom", max_width=LONGEST)
    for place in places:
        heading, width = Text(table.columns[place].heading), _width(table, place)
        side: Literal["left", "right"] = "left" if table.compact else "right"
        grid.add_column(heading, justify=side, vertical="bottom", width=width)
    for row in table.rows:
        cells = (Text(_number(row.cells[one], _room_for_marks(table, one)), no_wrap=True) for one in places)
        grid.add_row(Text(row.name, style="bold" if row.baseline else ""), *cells, style=STYLES.get(row.status, ""))
    return grid


def _room_for_marks(table: Table, place: int) -> int:
    if table.compact:
        return 0
    return max((len(",".join(row.cells[place].marks)) for row in table.rows), default=0)


def _number(cell: Cell, room: int) -> str:
    interval = f" ({cell.interval})" if cell.interval else ""
    marks = f" {','.join(cell.marks):{room}}" if room or cell.marks else ""
    return f"{cell.text}{interval}{marks}"


def _troubled(report: Report) -> Iterator[Text]:
    for table in report.tables:
        if table.incomplete:
            where = f" at {table.title}" if len(report.tables) > 1 else ""
            yield Text(f"\nNot measured, or not in full{where}:", style="bold")
            yield from (Text(_why(row), style=STYLES.get(row.status, "")) for row in table.incomplete)


def _why(row: Row) -> str:
    return f"{row.name} {row.status}: {row.reason}" if row.reason else f"{row.name} {row.status}"


def _method(one: Method) -> tuple[str, str]:
    rows = f" (rows: {', '.join(one.rows)})" if one.rows else ""
    return ", ".join(one.columns), f"{one.text}{rows}"


def _section(title: str, pairs: list[tuple[str, str]]) -> Iterator[Text]:
    if pairs:
        yield Text("\n" + title, style="bold")
        yield from (Text(f"{name}: {text}") for name, text in pairs)
