"""Runs as a report: tables, pictures and notes as plain data, which every format renders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from upsampler_bench.case import PROBE
from upsampler_bench.paper import reproduction
from upsampler_bench.report import capabilities, facts, footnotes, gallery, operator_facts, tables
from upsampler_bench.report.conditions import Scene
from upsampler_bench.report.lines import Condition, conditions, slugs
from upsampler_bench.report.parts import Report, Table
from upsampler_bench.report.pictures import Picture
from upsampler_bench.results import Run

__all__ = ["Report", "from_run", "from_runs"]


def from_run(run: Run) -> Report:
    """Everything that a run tells; also of one that was interrupted, or in which nothing succeeded."""
    return from_runs((run,))


def from_runs(runs: Sequence[Run]) -> Report:
    """Everything that several runs tell, side by side: of other devices, dtypes or revisions, or of other models."""
    told = [(run, (*conditions(run), *conditions(run, probed=True))) for run in runs]
    labels = facts.labels(runs)
    marks = footnotes.marks(told)
    sections = _sections(told, labels)
    return Report(
        title=facts.title(runs),
        facts=facts.all_facts(labels, told),
        tables=tuple(_table(one, marks) for one in sections),
        published=reproduction.tables(runs),
        pictures=tuple(_pictures(sections)),
        methods=tuple(dict.fromkeys(method for one in told for method in facts.methods(*one))),
        footnotes=tuple((mark, text) for text, mark in marks.items()),
        legend=tuple(dict.fromkeys(meaning for one in told for meaning in facts.legend(*one))),
        warning=" ".join(dict.fromkeys(said for run in runs if (said := facts.warning(run)))),
        operators=operator_facts.operators(runs),
    )


@dataclass(frozen=True, slots=True)
class _Section:
    """One condition of one run.

    Attributes:
        label: which run this is, where another run has the same condition; else empty.
        slug: what its files' names end in.
    """

    run: Run
    condition: Condition
    label: str
    slug: str


def _sections(told: Sequence[tuple[Run, tuple[Condition, ...]]], labels: Sequence[str]) -> list[_Section]:
    found = [(run, one, label) for (run, own), label in zip(told, labels, strict=True) for one in own]
    clash = len({one.words for _, one, _ in found}) < len(found)
    named = [label if clash else "" for _, _, label in found]
    measured = [place for place, (_, one, _) in enumerate(found) if one.case.mode != PROBE]
    slug = dict(
        zip(measured, slugs([found[place][1] for place in measured], [named[place] for place in measured]), strict=True)
    )
    return [_Section(run, one, named[place], slug.get(place, "")) for place, (run, one, _) in enumerate(found)]


def _table(section: _Section, marks: Mapping[str, str]) -> Table:
    make = capabilities.table if section.condition.case.mode == PROBE else tables.table
    made = make(section.run, section.condition, marks)
    return replace(made, title=f"{section.label}: {made.title}") if section.label else made


def _pictures(sections: Sequence[_Section]) -> Iterator[Picture]:
    measured = (one for one in sections if one.condition.case.mode != PROBE)
    return gallery.pictures([Scene(one.run, one.condition, one.label, one.slug) for one in measured])
