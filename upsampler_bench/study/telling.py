"""A study's scores as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from upsampler_bench.study.data import Job, Study
from upsampler_bench.study.rules import Answer, candidates, ours, published
from upsampler_bench.study.score import Rate, Score, injected, score

OURS = "ours: fastest call of each process"


def page(study: Study) -> str:
    """Everything that the study says, for each load: rates with intervals and the counts behind them."""
    return "\n".join(_lines(study))


def _lines(study: Study) -> Iterator[str]:
    for load in dict.fromkeys(job.load for job in study.jobs):
        if jobs := study.under(load):
            yield from _section(study, load, jobs)
    yield from _choosing(study)


def _section(study: Study, load: str, jobs: Sequence[Job]) -> Iterator[str]:
    truth = ", ".join(f"+{percent} % was {true:+.1f} %" for percent, true in injected(study, jobs).items())
    size = len(jobs[0].processes)
    yield f"### {load.capitalize()}: {len(jobs)} jobs of {size} processes, {len(study.operators)} operators\n"
    yield f"{study.case}; extra work, measured: {truth}.\n"
    yield from _table(study, jobs, {OURS: ours(), **published()})


def _table(study: Study, jobs: Sequence[Job], rules: Mapping[str, Answer]) -> Iterator[str]:
    percents = study.percents
    heads = [
        "rule",
        "false alarms",
        "at most",
        "jobs with one",
        "A/A unclear",
        *(f"+{one} % found" for one in percents),
    ]
    yield f"| {' | '.join([*heads, '+5 % flagged'])} |"
    yield f"|{'---|' * (len(heads) + 1)}"
    for name, answer in rules.items():
        yield f"| {name} | {' | '.join(_cells(score(answer, study, jobs)))} |"
    yield ""


def _cells(one: Score) -> Iterator[str]:
    yield _rate(one.alarms)
    yield f"{one.alarms.most:.1%}"
    yield f"{one.jobs.hits}/{one.jobs.count}"
    yield f"{one.unclear.value:.0%}"
    yield from (_rate(each) for each in one.found.values())
    yield _rate(one.flagged[5]) if 5 in one.flagged else "–"


def _rate(one: Rate) -> str:
    low, high = one.interval
    return f"{one.hits}/{one.count} = {one.value:.0%} ({low:.0%}–{high:.0%})"


def _choosing(study: Study) -> Iterator[str]:
    """The candidates on the jobs that the rule was chosen on."""
    if not study.spent:
        return
    counts = {
        load: sum(job.load == load for job in study.spent) for load in dict.fromkeys(one.load for one in study.spent)
    }
    yield f"### What the rule was chosen among, on {' and '.join(f'{n} jobs {load}' for load, n in counts.items())}\n"
    yield "These jobs are in no table above.\n"
    yield from _table(study, study.spent, candidates())
