"""A booktabs table for a paper: needs \\usepackage{booktabs}, and graphicx where the table is wide."""

from __future__ import annotations

from collections.abc import Iterator

from upsampler_bench.formats import _paper_latex
from upsampler_bench.formats._escape import latex
from upsampler_bench.report.parts import Cell, Column, Report, Row, Table

ABOUT = "a booktabs table for a paper (report.tex)"
FILE = "report.tex"
WIDE = 6
MOST = 8


def files(report: Report) -> dict[str, bytes]:
    """report.tex."""
    return {FILE: show(report).encode()}


def show(report: Report) -> str:
    """One table environment a condition, its circumstances in its caption; then the published figures beside ours."""
    blocks = ["\n".join(_table(report, table, place)) for place, table in enumerate(report.tables)]
    blocks += _paper_latex.blocks(report)
    head = f"% {' '.join(report.title.split())}\n% needs \\usepackage{{booktabs,graphicx}}\n"
    head += f"% the {MOST} most important columns; report.csv has them all\n"
    return head + "\n\n".join(blocks) + "\n"


def _table(report: Report, table: Table, place: int) -> Iterator[str]:
    most = None if table.compact else MOST
    chosen = sorted(sorted(table.shown, key=lambda one: table.columns[one].rank)[:most])
    columns = [table.columns[one] for one in chosen]
    kind, wide = ("table*", True) if len(columns) > WIDE else ("table", False)
    yield from (rf"\begin{{{kind}}}[t]", r"\centering", r"\small", rf"\caption{{{_caption(report, table)}}}")
    yield rf"\label{{tab:upsamplers{f'-{place + 1}' if len(report.tables) > 1 else ''}}}"
    yield from [r"\resizebox{\textwidth}{!}{%"] if wide else []
    yield rf"\begin{{tabular}}{{@{{}}l{'r' * len(columns)}@{{}}}}"
    yield r"\toprule"
    yield _line([" ", *(latex(one.title) for one in columns)])
    yield _line([" ", *(_unit(one) for one in columns)])
    yield r"\midrule"
    yield from (_line([latex(row.name), *(_cell(row.cells[one]) for one in chosen)]) for row in table.rows)
    yield from (r"\bottomrule", r"\end{tabular}" + ("}" if wide else ""))
    yield from _below(report, table, [one.title for one in columns])
    yield rf"\end{{{kind}}}"


def _caption(report: Report, table: Table) -> str:
    stated = dict(report.facts)
    parts = [f"{report.title}. {'' if table.compact else 'Input: '}{table.title}.", report.warning]
    parts += [f"{name}: {stated[name]}." for name in ("Versions", "CPU threads", "Protocol") if name in stated]
    return latex(" ".join(part for part in parts if part))


def _below(report: Report, table: Table, titles: list[str]) -> Iterator[str]:
    used = {mark for row in table.rows for cell in row.cells for mark in cell.marks}
    notes = [rf"\textsuperscript{{{mark}}}\,{latex(text)}" for mark, text in report.footnotes if mark in used]
    notes += [rf"{latex(row.name)}: {latex(_why(row))}" for row in table.incomplete]
    for one in report.methods:
        named = [title for title in one.columns if title in titles]
        notes += [latex(f"{', '.join(named)}: {one.text}{_only(one.rows)}")] if named else []
    yield r"\par\smallskip\raggedright\footnotesize"
    yield "".join(f"{note}. " for note in notes).rstrip()


def _only(names: tuple[str, ...]) -> str:
    return f" ({', '.join(names)})" if names else ""


def _why(row: Row) -> str:
    return f"{row.status}: {row.reason}" if row.reason else row.status


def _unit(column: Column) -> str:
    return f"({latex(column.unit)})" if column.heading != column.title else " "


def _cell(cell: Cell) -> str:
    interval = rf" {{\scriptsize({latex(cell.interval)})}}" if cell.interval else ""
    marks = rf"\textsuperscript{{{','.join(cell.marks)}}}" if cell.marks else ""
    return f"{latex(cell.text)}{interval}{marks}"


def _line(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"
