"""Runs as a report: tables, pictures and notes as plain data, which every format renders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from upsampler_bench.paper import tables as paper_tables
from upsampler_bench.report import capabilities, facts, footnotes, operator_facts, pictures, profiles, tables
from upsampler_bench.report.lines import Condition, conditions
from upsampler_bench.report.naming import distinguish, file_name
from upsampler_bench.report.parts import Report, Table
from upsampler_bench.results import Run

__all__ = ["Report", "from_run", "from_runs"]


def from_run(run: Run) -> Report:
    """The report of a run; also of one that was interrupted, or in which nothing succeeded."""
    return from_runs((run,))


def from_runs(runs: Sequence[Run]) -> Report:
    """One report of several runs: of other devices, dtypes or revisions, or of other models."""
    labels = facts.labels(runs)
    measured, probed = _measured(runs, labels), _probed(runs, labels)
    by_run = [(run, [one for one in (*measured, *probed) if one.run is run]) for run in runs]
    marks = footnotes.marks([*measured, *probed])
    return Report(
        title=facts.title(runs),
        facts=(*facts.all_facts(labels, by_run), *_left_out(measured)),
        tables=tuple(_table(condition, marks) for condition in (*measured, *probed)),
        published=paper_tables.tables(runs),
        pictures=pictures.pictures(measured),
        methods=tuple(dict.fromkeys(method for _, found in by_run for method in facts.methods(found))),
        footnotes=tuple((mark, text) for text, mark in marks.items()),
        legend=tuple(dict.fromkeys(meaning for _, found in by_run for meaning in facts.legend(found))),
        warning=" ".join(dict.fromkeys(warning for run in runs if (warning := facts.warning(run)))),
        operators=operator_facts.operators(runs),
        profiles=tuple(profiles.tables(measured)),
    )


def _measured(runs: Sequence[Run], labels: Sequence[str]) -> list[Condition]:
    """All measured conditions, with what tells them apart in titles and in the names of files."""
    found = _labelled([conditions(run) for run in runs], labels)
    names = distinguish([_identity(condition) for condition in found], always=2)
    return [replace(condition, slug=file_name(name)) for condition, name in zip(found, names, strict=True)]


def _left_out(measured: Sequence[Condition]) -> list[tuple[str, str]]:
    if len(measured) <= pictures.MOST:
        return []
    return [("Pictures", f"{pictures.OF_MORE} of each kind, of {len(measured)} conditions.")]


def _probed(runs: Sequence[Run], labels: Sequence[str]) -> list[Condition]:
    return _labelled([conditions(run, probed=True) for run in runs], labels)


def _labelled(by_run: Sequence[Sequence[Condition]], labels: Sequence[str]) -> list[Condition]:
    """The conditions of all runs; where two have the same words, each with its run's label."""
    words = [condition.words for found in by_run for condition in found]
    if len(set(words)) == len(words):
        return [condition for found in by_run for condition in found]
    pairs = zip(by_run, labels, strict=True)
    return [replace(condition, label=label) for found, label in pairs for condition in found]


def _identity(condition: Condition) -> tuple[str, ...]:
    """What tells a condition's pictures apart. Shape and model come first: they are always in their names."""
    case, where = condition.case, condition.run.environment
    shape = f"{case.batch}x{case.channels}x{case.height}x{case.width}"
    what = (shape, case.model, case.dtype, case.layout, f"x{case.scale}")
    return *what, where.slug, case.device, "-".join(condition.how), facts.subject(condition.run)


def _table(condition: Condition, marks: Mapping[str, str]) -> Table:
    make = capabilities.table if condition.is_probed else tables.table
    table = make(condition, marks)
    return replace(table, title=f"{condition.label}: {table.title}") if condition.label else table
