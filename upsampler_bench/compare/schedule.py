"""The order of the processes: base, head and control in turn, more of them while a case is unclear."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from upsampler_bench.case import Case, Settings
from upsampler_bench.compare import process
from upsampler_bench.compare.comparison import BUDGET, DECIDED, INTERRUPTED, MOST, Comparison
from upsampler_bench.compare.process import Side
from upsampler_bench.compare.rule import LOOKS, UNCLEAR, Result, Rule, judge, look
from upsampler_bench.compare.samples import BASE, CONTROL, HEAD, SIDES, Sample, count
from upsampler_bench.errors import PlanError

WRONG = "wrong output"
Measure = Callable[[Sequence[Case], Side, str, Settings], Sample]


@dataclass(frozen=True)
class Schedule:
    """What to compare, and how long it may take.

    Attributes:
        sides: by BASE, HEAD and CONTROL.
        cases: of one group, as the base calls them.
        budget: seconds in all; 0: no limit.
        spent: seconds of the budget that were used before the first process.
    """

    sides: dict[str, Side]
    cases: tuple[Case, ...]
    settings: Settings
    rule: Rule
    budget: float = 0.0
    spent: float = 0.0


@dataclass
class _Progress:
    schedule: Schedule
    say: Callable[[str], None]
    measure: Measure
    clock: Callable[[], float]
    begun: float
    passes: int = 0
    longest: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)

    def look(self) -> None:
        keys = [case.key for case in self.schedule.cases]
        self.results = look(self.samples, keys, self.schedule.rule, self.results)


def compare(
    schedule: Schedule,
    say: Callable[[str], None],
    measure: Measure = process.measure,
    clock: Callable[[], float] = time.monotonic,
) -> Comparison:
    """Measures until every case is decided, the most processes are measured, or the budget is used up.

    Ctrl-C ends it with what was measured.

    Args:
        schedule: what to compare.
        say: called with a line per process.
        measure, clock: replaced in tests.

    Raises:
        PlanError: the budget is too small for the first look.
        SideError: a side cannot be measured.
    """
    progress = _Progress(schedule, say, measure, clock, clock() - schedule.spent)
    try:
        stopped = _measure(progress)
    except KeyboardInterrupt:
        stopped = INTERRUPTED
    if stopped in (BUDGET, INTERRUPTED):
        progress.look()
    return _comparison(progress, stopped)


def _measure(progress: _Progress) -> str:
    """Fills in samples and results, and returns why it stopped."""
    cases = progress.schedule.cases
    for size in LOOKS:
        while progress.passes < size:
            if progress.passes and not _is_time_left(progress):
                return BUDGET
            _measure_pass(progress, cases, size)
        progress.look()
        unclear = {key for key, result in progress.results.items() if result.verdict == UNCLEAR}
        cases = tuple(case for case in cases if case.key in unclear)
        if not cases:
            return DECIDED
    return MOST


def _measure_pass(progress: _Progress, cases: tuple[Case, ...], size: int) -> None:
    """One process per side; every second pass is in reverse order, so that a steady drift cancels."""
    schedule = progress.schedule
    noun = "case" if len(cases) == 1 else "cases"
    progress.longest = 0.0
    for side in SIDES if progress.passes % 2 == 0 else SIDES[::-1]:
        begun = progress.clock()
        settings = replace(schedule.settings, seed=schedule.settings.seed + len(progress.samples))
        progress.samples.append(progress.measure(cases, schedule.sides[side], side, settings))
        seconds = progress.clock() - begun
        progress.longest = max(progress.longest, seconds)
        number = count(progress.samples, side)
        progress.say(f"{side} {number} of {size}: {len(cases)} {noun} in {seconds:.1f} s")
    progress.passes += 1
    if progress.passes == 1:
        _check_budget(progress)


def _is_time_left(progress: _Progress) -> bool:
    """Whether another pass fits into the budget."""
    needed = progress.clock() - progress.begun + len(SIDES) * progress.longest
    return not progress.schedule.budget or needed <= progress.schedule.budget


def _check_budget(progress: _Progress) -> None:
    """Refuses after the first pass what cannot reach the first look."""
    schedule = progress.schedule
    needed = schedule.spent + (progress.clock() - progress.begun - schedule.spent) * LOOKS[0]
    if schedule.budget and needed > schedule.budget:
        raise PlanError(
            f"--budget is {schedule.budget:g} s; {LOOKS[0]} processes per side need about {needed:.0f} s here: "
            f"expected more, or fewer operators or a smaller shape"
        )


def _comparison(progress: _Progress, stopped: str) -> Comparison:
    schedule, samples = progress.schedule, tuple(progress.samples)
    keys = tuple(case.key for case in schedule.cases)
    lost, wrong = {}, {}
    for sample in samples:
        for key, reason in sample.lost.items():
            lost[key] = f"{sample.side}: {reason}"
            if sample.side == HEAD and reason.startswith(WRONG):
                wrong[key] = reason
    return Comparison(
        schedule.sides[BASE].name,
        schedule.sides[HEAD].name,
        schedule.cases[0].group,
        keys,
        schedule.rule,
        samples,
        results=tuple(progress.results.values()),
        control=judge(samples, keys, schedule.rule, (BASE, CONTROL)),
        stopped=stopped,
        seconds=progress.clock() - progress.begun,
        wrong=wrong,
        lost=lost,
    )
