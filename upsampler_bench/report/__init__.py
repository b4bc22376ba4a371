"""Runs as a report: tables, pictures and notes as plain data, which every format renders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from upsampler_bench.case import PROBE, QUALITY
from upsampler_bench.paper import ours
from upsampler_bench.paper import tables as paper_tables
from upsampler_bench.quality.choice import PHRASES, PUBLISHED, mious
from upsampler_bench.report import capabilities, facts, footnotes, operator_facts, pictures, profiles, quality, tables
from upsampler_bench.report.lines import Condition, conditions
from upsampler_bench.report.naming import distinguish, file_name
from upsampler_bench.report.parts import Report, Table
from upsampler_bench.results import Run

__all__ = ["Report", "from_run", "from_runs"]


def from_run(run: Run) -> Report:
    """The report of a run; also of one that was interrupted, or in which nothing succeeded."""
    return from_runs((run,))


def from_runs(runs: Sequence[Run], tested: Sequence[Run] = (), stored: Sequence[Run] = ()) -> Report:
    """One report of several runs: of other devices, dtypes or revisions, or of other models.

    Args:
        runs: in the order in which they are shown.
        tested: runs of the same devices whose capabilities are taken in; they are not shown themselves.
        stored: other runs, for the picture that needs both quality and costs.
    """
    stored_conditions = [one for run in stored for one in (*conditions(run), *conditions(run, [QUALITY]))]
    source, known = mious([*runs, *stored])
    miou, origin = PHRASES[source]
    if source == PUBLISHED and ours.given_mious(runs):
        miou += ", or given by the user"
    labels = facts.labels(runs)
    measured, probed = _measured(runs, labels), _of_mode(PROBE, runs, labels)
    of_quality = _of_mode(QUALITY, runs, labels)
    by_run = [(run, [one for one in (*measured, *probed, *of_quality) if one.run is run]) for run in runs]
    marks = footnotes.marks([*measured, *probed])
    return Report(
        title=facts.title(runs),
        facts=(*facts.all_facts(labels, by_run), *map(facts.tested, tested), *_left_out(measured)),
        tables=(
            *(_table(condition, marks) for condition in (*measured, *probed)),
            *(_titled(table, condition) for condition in of_quality for table in quality.tables(condition)),
        ),
        published=paper_tables.tables(runs),
        pictures=pictures.pictures(measured, of_quality, stored_conditions),
        methods=tuple(dict.fromkeys(method for _, found in by_run for method in facts.methods(found))),
        footnotes=tuple((mark, text) for text, mark in marks.items()),
        legend=tuple(
            dict.fromkeys([*(one for _, found in by_run for one in facts.legend(found)), *quality.legend(of_quality)])
        ),
        warning=" ".join(dict.fromkeys(warning for run in runs if (warning := facts.warning(run)))),
        operators=operator_facts.operators(runs, known, tested),
        miou=(miou, origin),
        profiles=tuple(profiles.tables(measured)),
        traces=tuple(profiles.traces(measured)),
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


def _of_mode(mode: str, runs: Sequence[Run], labels: Sequence[str]) -> list[Condition]:
    return _labelled([conditions(run, [mode]) for run in runs], labels)


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
    what = (shape, case.model, case.dtype, case.layout, f"x{case.scale}", case.guide_image)
    return *what, where.slug, case.device, "-".join(condition.how), facts.subject(condition.run)


def _table(condition: Condition, marks: Mapping[str, str]) -> Table:
    make = capabilities.table if condition.is_probed else tables.table
    return _titled(make(condition, marks), condition)


def _titled(table: Table, condition: Condition) -> Table:
    """The table with its run's label, where another run has the same condition."""
    return replace(table, title=f"{condition.label}: {table.title}") if condition.label else table
