"""Rates with their intervals: false alarms of a rule, and what it finds of what was made slower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from studies.compare_rule.data import Job
from studies.compare_rule.rules import Answer
from upsampler_bench.compare.rule import SLOWER, UNCLEAR

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Rate:
    """How often of how many, with the exact (Clopper-Pearson) 95 % interval."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        """The share."""
        return self.hits / self.count if self.count else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Its bounds."""
        from scipy.stats import binomtest

        found = binomtest(self.hits, self.count).proportion_ci(CONFIDENCE, method="exact")
        return float(found.low), float(found.high)

    @property
    def most(self) -> float:
        """The one-sided 95 % upper bound."""
        from scipy.stats import binomtest

        return float(
            binomtest(self.hits, self.count, alternative="less").proportion_ci(CONFIDENCE, method="exact").high
        )


@dataclass(frozen=True, slots=True)
class Score:
    """One rule on some jobs.

    Attributes:
        alarms: comparisons of a case with itself that were called SLOWER.
        jobs: whole jobs in which any case was called SLOWER: jobs are independent, cases of one job are not.
        unclear: comparisons of a case with itself that were called UNCLEAR.
        found: by per cent of real extra work: called SLOWER.
        flagged: the same: SLOWER or UNCLEAR.
    """

    alarms: Rate
    jobs: Rate
    unclear: Rate
    found: Mapping[int, Rate]
    flagged: Mapping[int, Rate]


def score(answer: Answer, jobs: Sequence[Job]) -> Score:
    """A rule's rates on these jobs."""
    same = [_verdicts(answer, job, 0) for job in jobs]
    slower = {
        percent: [_verdicts(answer, job, percent) for job in jobs if percent in job.percents]
        for percent in percents(jobs)
    }
    return Score(
        _rate(same, SLOWER),
        Rate(sum(SLOWER in one for one in same), len(same)), _rate(same, UNCLEAR),
        {percent: _rate(one, SLOWER) for percent, one in slower.items()},
        {percent: _rate(one, SLOWER, UNCLEAR) for percent, one in slower.items()},
    )  # fmt: skip


def percents(jobs: Sequence[Job]) -> list[int]:
    """All the per cents by which any of these jobs has slower operators."""
    return sorted({percent for job in jobs for percent in job.percents})


def _verdicts(answer: Answer, job: Job, percent: int) -> list[str]:
    return list(answer(job.points(percent), job.operators).values())


def _rate(found: Sequence[Sequence[str]], *counted: str) -> Rate:
    return Rate(sum(one in counted for each in found for one in each), sum(map(len, found)))


def injected(jobs: Sequence[Job]) -> dict[int, float]:
    """By nominal per cent, how much slower the slower operators truly were: the median over operators and processes."""
    found = {}
    for percent in percents(jobs):
        ratios = [
            median(timings[f"{name}~{percent}"].rounds) / median(timings[name].rounds)
            for job in jobs
            if percent in job.percents
            for timings in job.processes
            for name in job.operators
            if f"{name}~{percent}" in timings
        ]
        found[percent] = (median(ratios) - 1) * 100
    return found
