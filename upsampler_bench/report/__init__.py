"""A run as a report: tables, charts and notes as plain data, which every format renders."""

from __future__ import annotations

from upsampler_bench.report import capabilities, charts, facts, footnotes, tables
from upsampler_bench.report.lines import conditions, slugs
from upsampler_bench.report.parts import Bar, BarChart, Cell, Column, Method, Panel, Point, Report, Row, Scatter, Table
from upsampler_bench.results import Run

__all__ = [
    "Bar",
    "BarChart",
    "Cell",
    "Column",
    "Method",
    "Panel",
    "Point",
    "Report",
    "Row",
    "Scatter",
    "Table",
    "from_run",
]


def from_run(run: Run) -> Report:
    """Everything that a run tells; also of one that was interrupted, or in which nothing succeeded."""
    found, probed = conditions(run), conditions(run, probed=True)
    told = (*found, *probed)
    marks = footnotes.marks(run, told)
    named = tuple(zip(found, slugs(found), strict=True))
    return Report(
        title=f"Feature upsamplers on {run.environment.device_name}",
        facts=facts.facts(run, told),
        tables=(
            *(tables.table(run, one, marks) for one in found),
            *(capabilities.table(run, one, marks) for one in probed),
        ),
        panels=tuple(panel for one, slug in named if (panel := charts.panel(run, one, slug))),
        scatters=tuple(scatter for one, slug in named if (scatter := charts.scatter(run, one, slug))),
        methods=facts.methods(run, told),
        footnotes=tuple((mark, text) for text, mark in marks.items()),
        legend=facts.legend(run, told),
        warning=facts.warning(run),
    )
