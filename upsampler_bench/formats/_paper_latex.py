"""The paper's figures and ours side by side as booktabs tables."""

from __future__ import annotations

from collections.abc import Iterator

from upsampler_bench.formats import _paper
from upsampler_bench.formats._escape import latex
from upsampler_bench.paper.parts import PublishedCell, PublishedRow, PublishedTable
from upsampler_bench.paper.reproduction import summary
from upsampler_bench.report.parts import NOTHING, Report

WIDE = 6
MARKS = {"differs": r"\,$\neq$", "reproduced": "", "not measured": ""}


def blocks(report: Report) -> Iterator[str]:
    """One table environment for each published table that holds a figure of ours."""
    for table in report.published:
        if any(cell.ours for row in table.rows for cell in row.cells):
            yield "\n".join(_table(table))


def _table(table: PublishedTable) -> Iterator[str]:
    count = sum(len(_heads(table, figure)) for figure in table.figures)
    kind, wide = ("table*", True) if count > WIDE else ("table", False)
    yield from (rf"\begin{{{kind}}}[t]", r"\centering", r"\small", rf"\caption{{{_caption(table)}}}")
    yield rf"\label{{tab:published-{table.name}}}"
    yield from [r"\resizebox{\textwidth}{!}{%"] if wide else []
    yield rf"\begin{{tabular}}{{@{{}}l{'r' * count}@{{}}}}"
    yield r"\toprule"
    yield _line([" ", *(_over(table, figure) for figure in table.figures)])
    yield _line([" ", *(head for figure in table.figures for head in _heads(table, figure))])
    yield r"\midrule"
    yield from (_line([latex(row.name), *_cells(table, row)]) for row in table.rows)
    yield from (r"\bottomrule", r"\end{tabular}" + ("}" if wide else ""))
    yield r"\par\smallskip\raggedright\footnotesize"
    yield "".join(f"{latex(what)}: {latex(why)}. " for what, why in _paper.reasons(table)).rstrip()
    yield rf"\end{{{kind}}}"


def _caption(table: PublishedTable) -> str:
    key = r" $\neq$: differs; --: not measured." if any(map(table.count, MARKS)) else ""
    return f"{latex(f'{table.title}, published and ours. {table.about} {summary((table,))}')}{key}"


def _over(table: PublishedTable, figure: str) -> str:
    """A figure's name above its one or two columns."""
    count = len(_heads(table, figure))
    return latex(figure) if count == 1 else rf"\multicolumn{{{count}}}{{r}}{{{latex(figure)}}}"


def _heads(table: PublishedTable, figure: str) -> list[str]:
    """What a figure's columns are."""
    if _paper.is_compared(table, figure):
        return ["published", "ours"]
    alone = any(cell.ours for row in table.rows if (cell := _paper.find(row, figure)))
    return ["ours" if alone else "published"]


def _cells(table: PublishedTable, row: PublishedRow) -> Iterator[str]:
    for figure in table.figures:
        cell = _paper.find(row, figure) or PublishedCell(figure, NOTHING)
        if len(_heads(table, figure)) == 1:
            yield latex(cell.published or cell.ours)
        else:
            yield latex(cell.published)
            yield latex(cell.ours or NOTHING) + MARKS.get(cell.verdict, "")


def _line(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"
