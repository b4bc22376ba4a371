"""A study's scores as a Markdown page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from studies.compare_rule.data import Job, Study, joined
from studies.compare_rule.rules import Answer, candidates, ours, published, to_the_end
from studies.compare_rule.score import Rate, Score, injected, percents, score

OURS, END = "ours at its first look: fastest call of each process", "ours to its end: up to 32 processes a side"


def page(study: Study) -> str:
    """Everything that the study says, for each load: rates with intervals and the counts behind them."""
    return "\n".join(_lines(study))


def _lines(study: Study) -> Iterator[str]:
    for load in dict.fromkeys(job.load for job in study.jobs):
        if jobs := study.under(load):
            yield from _section(study, load, jobs)
    yield from _choosing(study)


def _section(study: Study, load: str, jobs: Sequence[Job]) -> Iterator[str]:
    kinds = Counter((len(job.operators), bool(job.percents)) for job in jobs)
    told = [f"{_jobs(n)} of {size} operators{', slower too' * slower}" for (size, slower), n in kinds.items()]
    yield f"### {load.capitalize()}: {' and '.join(told)}\n"
    truth = ", ".join(f"+{percent} % was {true:+.1f} %" for percent, true in injected(jobs).items())
    yield f"{study.case}, {len(jobs[0].processes)} processes a job{f'; extra work, measured: {truth}' * bool(truth)}.\n"
    yield from _heading(jobs)
    yield _row(OURS, ours(), jobs, percents(jobs))
    if whole := joined(jobs):
        yield _row(END, to_the_end(), whole, percents(jobs))
    for name, answer in published().items():
        yield _row(name, answer, jobs, percents(jobs))
    yield ""


def _jobs(count: int) -> str:
    return f"{count} job{'s' * (count != 1)}"


def _heading(jobs: Sequence[Job]) -> Iterator[str]:
    found = [f"+{one} % found" for one in percents(jobs)]
    heads = ["rule", "false alarms", "at most", "jobs with one", "A/A unclear", *found, "+5 % flagged"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"


def _row(name: str, answer: Answer, jobs: Sequence[Job], asked: Sequence[int]) -> str:
    return f"| {name} | {' | '.join(_cells(score(answer, jobs), asked))} |"


def _cells(one: Score, asked: Sequence[int]) -> Iterator[str]:
    yield _rate(one.alarms)
    yield f"{one.alarms.most:.1%}"
    yield f"{one.jobs.hits}/{one.jobs.count}"
    yield f"{one.unclear.value:.0%}"
    yield from (_rate(one.found.get(percent)) for percent in asked)
    yield _rate(one.flagged.get(5))


def _rate(one: Rate | None) -> str:
    if one is None:
        return "–"
    low, high = one.interval
    return f"{one.hits}/{one.count} = {one.value:.0%} ({low:.0%}–{high:.0%})"


def _choosing(study: Study) -> Iterator[str]:
    """The candidates on the jobs that the rule was chosen on."""
    if not study.spent:
        return
    counts = Counter(job.load for job in study.spent)
    told = " and ".join(f"{_jobs(count)} {load}" for load, count in counts.items())
    yield f"### What the rule was chosen among, on {told}\n"
    yield "These jobs are in no table above.\n"
    yield from _heading(study.spent)
    for name, answer in candidates().items():
        yield _row(name, answer, study.spent, percents(study.spent))
    yield ""
