"""Rates of a rule with their intervals: false alarms, and what it finds of what was slowed; as Markdown tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from scipy.stats import binomtest

from studies.compare_rule.data import Job, Study, joined
from studies.compare_rule.rules import PUBLISHED, Answer, all_looks, candidates, first_look
from upsampler_bench.compare.rule import SLOWER, UNCLEAR

FIRST = "ours at its first look: fastest call of each process"
LAST = "ours to its end: up to 32 processes a side"


@dataclass(frozen=True, slots=True)
class Rate:
    """How often of how many."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        """The share."""
        return self.hits / self.count if self.count else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The exact (Clopper-Pearson) 95 % interval."""
        bounds = binomtest(self.hits, self.count).proportion_ci(method="exact")
        return float(bounds.low), float(bounds.high)

    @property
    def most(self) -> float:
        """The one-sided 95 % upper bound."""
        return float(binomtest(self.hits, self.count, alternative="less").proportion_ci(method="exact").high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.hits}/{self.count} = {self.value:.0%} ({low:.0%}–{high:.0%})"


@dataclass(frozen=True, slots=True)
class Score:
    """One rule on some jobs.

    Attributes:
        alarms: comparisons of a case with itself that were called SLOWER.
        jobs: jobs with any such alarm: jobs are independent, cases of one job are not.
        unclear: comparisons of a case with itself that were called UNCLEAR.
        found: by per cent of extra work: called SLOWER.
        flagged: by per cent of extra work: called SLOWER or UNCLEAR.
    """

    alarms: Rate
    jobs: Rate
    unclear: Rate
    found: dict[int, Rate]
    flagged: dict[int, Rate]


def score(answer: Answer, jobs: Sequence[Job]) -> Score:
    """A rule's rates on these jobs."""
    same = [[*answer(job.samples(), job.operators).values()] for job in jobs]
    alarms = Rate(sum(SLOWER in verdicts for verdicts in same), len(same))
    found, flagged = {}, {}
    for percent in percents(jobs):
        slowed = [[*answer(job.samples(percent), job.operators).values()] for job in jobs if percent in job.percents]
        found[percent], flagged[percent] = _rate(slowed, SLOWER), _rate(slowed, SLOWER, UNCLEAR)
    return Score(_rate(same, SLOWER), alarms, _rate(same, UNCLEAR), found, flagged)


def _rate(jobs: Sequence[Sequence[str]], *counted: str) -> Rate:
    verdicts = [verdict for job in jobs for verdict in job]
    return Rate(sum(verdict in counted for verdict in verdicts), len(verdicts))


def percents(jobs: Sequence[Job]) -> list[int]:
    """All per cents by which any of these jobs has slowed operators."""
    return sorted({percent for job in jobs for percent in job.percents})


def extra_work(jobs: Sequence[Job], percent: int) -> float:
    """By how many per cent operators were truly slowed: the median over operators and processes."""
    ratios: list[float] = []
    for job in jobs:
        for timings in job.processes:
            pairs = [(timings[name], timings.get(f"{name}~{percent}")) for name in job.operators]
            ratios += [median(slowed.rounds) / median(plain.rounds) for plain, slowed in pairs if slowed]
    return (median(ratios) - 1) * 100


def tables(study: Study) -> str:
    """A table per load."""
    lines: list[str] = []
    for load in dict.fromkeys(job.load for job in study.jobs):
        jobs = [job for job in study.jobs if job.load == load and not job.chosen_on]
        if jobs:
            lines += _table_of_load(study, load, jobs)
    return "\n".join(lines)


def candidates_table(study: Study) -> str:
    """The candidates for the rule on the jobs that it was chosen on; empty without such jobs."""
    chosen_on = [job for job in study.jobs if job.chosen_on]
    if not chosen_on:
        return ""
    counts = Counter(job.load for job in chosen_on)
    named = " and ".join(f"{count} {load} job{'' if count == 1 else 's'}" for load, count in counts.items())
    rows = {name: (answer, chosen_on) for name, answer in candidates().items()}
    return "\n".join([f"# Candidates for the rule, on {named}\n", *_table(rows, percents(chosen_on))])


def _table_of_load(study: Study, load: str, jobs: Sequence[Job]) -> Iterator[str]:
    kinds = Counter((len(job.operators), " and slowed copies" if job.percents else "") for job in jobs)
    named = ", ".join(f"{_jobs(count)} of {size} operators{slowed}" for (size, slowed), count in kinds.items())
    yield f"### {load.capitalize()}: {named}\n"
    setup = f"{study.case}, {len(jobs[0].processes)} processes per job"
    if percents(jobs):
        work = (f"+{percent} % was {extra_work(jobs, percent):+.1f} %" for percent in percents(jobs))
        setup += f"; extra work, measured: {', '.join(work)}"
    yield f"{setup}.\n"
    rows: dict[str, tuple[Answer, Sequence[Job]]] = {FIRST: (first_look, jobs)}
    if comparisons := joined(jobs):
        rows[LAST] = all_looks, comparisons
    rows |= {name: (answer, jobs) for name, answer in PUBLISHED.items()}
    yield from _table(rows, percents(jobs))


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _table(rows: dict[str, tuple[Answer, Sequence[Job]]], columns: Sequence[int]) -> Iterator[str]:
    found = [f"+{percent} % found" for percent in columns]
    titles = ["rule", "false alarms", "at most", "jobs with one", "A/A unclear", *found, "+5 % flagged"]
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for name, (answer, jobs) in rows.items():
        rates = score(answer, jobs)
        alarms = [f"{rates.alarms}", f"{rates.alarms.most:.1%}", f"{rates.jobs.hits}/{rates.jobs.count}"]
        shares = [str(rates.found.get(percent, "–")) for percent in columns]
        cells = [*alarms, f"{rates.unclear.value:.0%}", *shares, str(rates.flagged.get(5, "–"))]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
