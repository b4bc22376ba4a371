"""For a terminal: as wide as it is; elsewhere 80 columns of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from upsampler_bench.formats import _paper
from upsampler_bench.paper.parts import DIFFERS, ELSEWHERE, MISSING
from upsampler_bench.paper.tables import summary
from upsampler_bench.report.parts import Report, Table

FILE = "report.txt"
WIDTH = 80
# Nobody scrolls through hundreds.
MOST_TABLES = 40
# Longer names of operators wrap.
LONGEST = 36
STYLES = {"failed": "red", "skipped": "yellow", "interrupted": "yellow"}
# The published tables that are printed; published.csv has all of them.
PRINTED = ("fig1", "table4")


def files(report: Report) -> dict[str, bytes]:
    """report.txt, plain and 80 columns wide."""
    return {FILE: draw(report, Console(width=WIDTH, color_system=None, force_terminal=False)).encode()}


def show(report: Report) -> str:
    """As wide as the terminal is."""
    console = Console()
    return draw(report, console if console.is_terminal else Console(width=WIDTH, color_system=None))


def draw(report: Report, console: Console) -> str:
    """What this console would print."""
    with console.capture() as capture:
        for part in _parts(report, console.width):
            console.print(part, highlight=False)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def split(table: Table, width: int) -> Iterator[list[int]]:
    """The places of the columns of each grid, cut so that it fits the width: the most important columns first."""
    unlimited = Console(width=10_000)
    left = sorted(table.shown, key=lambda place: table.columns[place].rank)
    while left:
        count = len(left)
        while count > 1 and unlimited.measure(_grid(table, left[:count])).maximum > width:
            count -= 1
        yield sorted(left[:count])
        left = left[count:]


def _parts(report: Report, width: int) -> Iterator[Text | Grid]:
    """How it was measured comes first, so that the numbers and failures are where a terminal ends up."""
    yield Text(report.title, style="bold")
    yield from _section("Environment and protocol", report.facts)
    yield from _section("How each column was measured", [method.words for method in report.methods])
    tested = {column.title for table in report.tables if table.compact for column in table.columns}
    yield from _section("What was tested", [(name, text) for name, text in report.legend if name in tested])
    yield from _tables(report, width)
    if report.footnotes:
        yield Text()
        yield from (Text(f"{mark}  {text}") for mark, text in report.footnotes)
    yield from _paper_parts(report, width)
    for table in report.tables:
        if table.incomplete:
            where = f" at {table.title}" if len(report.tables) > 1 else ""
            yield Text(f"\nMissing or incomplete results{where}:", style="bold")
            for row in table.incomplete:
                yield Text(f"{row.name} {row.explanation}", style=STYLES.get(row.status, ""))
    if report.warning:
        yield Text(f"\n{report.warning}", style="yellow")


def _paper_parts(report: Report, width: int) -> Iterator[Text | Grid]:
    if not report.published:
        return
    yield Text(f"\n{_paper.HEADING}", style="bold")
    yield Text(_paper.KEY)
    for table in report.published:
        if table.name in PRINTED:
            yield from _grids(_paper.as_table(table), width)
    yield Text(f"\n{summary(report.published)}", style="bold")
    left = [table.title.partition(":")[0] for table in report.published if table.name not in PRINTED]
    if left:
        yield Text(f"Also compared, in published.csv: {', '.join(left)}.")
    for table in report.published:
        where = table.title.partition(":")[0]
        yield from (
            Text(f"{where}, {what}: {why}") for what, why in _paper.reasons(table, (DIFFERS, ELSEWHERE, MISSING))
        )


def _tables(report: Report, width: int) -> Iterator[Text | Grid]:
    for table in report.tables[:MOST_TABLES]:
        yield from _grids(table, width)
    if left := report.tables[MOST_TABLES:]:
        yield Text(f"\n{len(left)} more tables are in the report's files (csv, markdown, html).")
    for table in report.profiles:
        yield from _grids(table, width)


def _grids(table: Table, width: int) -> Iterator[Text | Grid]:
    yield Text(f"\n{table.title}", style="bold")
    for number, places in enumerate(split(table, width)):
        if number:
            yield Text()
        yield _grid(table, places)


def _grid(table: Table, places: Sequence[int]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0 if table.compact else 1, 0, 0), show_edge=False)
    grid.add_column(table.subject.lower(), vertical="bottom", overflow="fold", max_width=LONGEST)
    columns = [_texts(table, place) for place in places]
    for place, texts in zip(places, columns, strict=True):
        heading = table.columns[place].heading
        # Headings wrap between words, cells do not.
        width = max(len(text) for text in (*texts, *heading.split()))
        side = "left" if table.compact else "right"
        grid.add_column(Text(heading), justify=side, vertical="bottom", width=width)  # type: ignore[arg-type]
    for number, row in enumerate(table.rows):
        cells = (Text(texts[number], no_wrap=True) for texts in columns)
        grid.add_row(Text(row.name, style="bold" if row.baseline else ""), *cells, style=STYLES.get(row.status, ""))
    return grid


def _texts(table: Table, place: int) -> list[str]:
    """A column's cells as printed; marks are padded, so that the numbers before them are aligned."""
    cells = [row.cells[place] for row in table.rows]
    room = 0 if table.compact else max((len(",".join(cell.marks)) for cell in cells), default=0)
    texts = []
    for cell in cells:
        interval = f" ({cell.interval})" if cell.interval else ""
        marks = f" {','.join(cell.marks):{room}}" if room or cell.marks else ""
        texts.append(f"{cell.text}{interval}{marks}")
    return texts


def _section(title: str, pairs: Iterable[tuple[str, str]]) -> Iterator[Text]:
    lines = [Text(f"{name}: {text}") for name, text in pairs]
    if lines:
        yield Text(f"\n{title}", style="bold")
        yield from lines
