"""A booktabs table for a paper: needs \\usepackage{booktabs}, and graphicx if the table is wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upsampler_bench.formats import _paper
from upsampler_bench.paper.tables import summary
from upsampler_bench.report.parts import Cell, Column, Report, Table

FILE = "report.tex"
WIDE = 6
MOST = 8
# The facts that stand above the tables as comments.
STATED = ("Versions", "CPU threads", "Protocol", "Sampling")
ESCAPES = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "×": r"$\times$",
        "±": r"$\pm$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "≠": r"$\neq$",
        "≈": r"$\approx$",
        "−": "$-$",
        "µ": r"\textmu{}",
        "δ": r"$\delta$",
        "→": r"$\rightarrow$",
        "²": r"\textsuperscript{2}",
        "³": r"\textsuperscript{3}",
        "⁹": r"\textsuperscript{9}",
        "–": "--",
        "…": r"\dots{}",
        "\n": " ",
        # After a row's end these would begin an argument, and a star.
        "[": "{[}",
        "*": "{*}",
    }
)


def files(report: Report) -> dict[str, bytes]:
    """report.tex."""
    return {FILE: show(report).encode()}


def show(report: Report) -> str:
    """One table environment for each condition, and for each published table with a figure of ours."""
    head = f"% {_escaped(report.title)}\n% needs \\usepackage{{booktabs,graphicx}}\n"
    head += f"% the {MOST} most important columns; report.csv has all columns\n"
    head += "".join(f"% {_escaped(f'{name}: {text}')}\n" for name, text in report.facts if name in STATED)
    blocks = [_measured(report, number, table) for number, table in enumerate(report.tables, 1)]
    for published in report.published:
        if not any(cell.ours for row in published.rows for cell in row.cells):
            continue
        table = _paper.side_by_side(published)
        caption = f"{published.title}, published and ours. {published.about} {summary((published,))} "
        caption += "≠: differs; –: not measured."
        notes = [_escaped(f"{what}: {why}") for what, why in _paper.reasons(published)]
        blocks.append(_environment(table, table.shown, f"published-{published.name}", caption, notes))
    return head + "\n\n".join(blocks) + "\n"


def _measured(report: Report, number: int, table: Table) -> str:
    places = sorted(table.shown, key=lambda place: table.columns[place].rank)
    places = sorted(places if table.compact else places[:MOST])
    label = f"upsamplers-{number}" if len(report.tables) > 1 else "upsamplers"
    caption = " ".join(part for part in (f"{report.title}. {table.title}.", report.warning) if part)
    return _environment(table, places, label, caption, _notes(report, table, places))


def _notes(report: Report, table: Table, places: Sequence[int]) -> list[str]:
    used = {mark for row in table.rows for place in places for mark in row.cells[place].marks}
    notes = [rf"\textsuperscript{{{mark}}}\,{_escaped(text)}" for mark, text in report.footnotes if mark in used]
    notes += [_escaped(f"{row.name}: {row.explanation}") for row in table.incomplete]
    titles = {table.columns[place].title for place in places}
    for method in report.methods:
        columns = [title for title in method.columns if title in titles]
        if columns:
            notes.append(_escaped(f"{', '.join(columns)}: {method.text}"))
    return notes


def _environment(table: Table, places: Sequence[int], label: str, caption: str, notes: Sequence[str]) -> str:
    return "\n".join(_lines(table, places, label, caption, notes))


def _lines(table: Table, places: Sequence[int], label: str, caption: str, notes: Sequence[str]) -> Iterator[str]:
    columns = [table.columns[place] for place in places]
    is_wide = len(columns) > WIDE
    kind = "table*" if is_wide else "table"
    yield from (rf"\begin{{{kind}}}[t]", r"\centering", r"\small")
    yield from (rf"\caption{{{_escaped(caption)}}}", rf"\label{{tab:{label}}}")
    if is_wide:
        yield r"\resizebox{\textwidth}{!}{%"
    yield rf"\begin{{tabular}}{{@{{}}l{'r' * len(columns)}@{{}}}}"
    yield r"\toprule"
    yield _row([" ", *(_escaped(column.title) for column in columns)])
    yield _row([" ", *(_unit(column) for column in columns)])
    yield r"\midrule"
    yield from (_row([_escaped(row.name), *(_cell(row.cells[place]) for place in places)]) for row in table.rows)
    yield r"\bottomrule"
    yield r"\end{tabular}}" if is_wide else r"\end{tabular}"
    yield r"\par\smallskip\raggedright\footnotesize"
    yield " ".join(f"{note.rstrip('.')}." for note in notes)
    yield rf"\end{{{kind}}}"


def _unit(column: Column) -> str:
    return " " if column.heading == column.title else f"({_escaped(column.unit)})"


def _cell(cell: Cell) -> str:
    interval = rf" {{\scriptsize({_escaped(cell.interval)})}}" if cell.interval else ""
    marks = rf"\textsuperscript{{{','.join(cell.marks)}}}" if cell.marks else ""
    return f"{_escaped(cell.text)}{interval}{marks}"


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _escaped(text: str) -> str:
    return text.translate(ESCAPES)
