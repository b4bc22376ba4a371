"""The order of the processes: base, head and control in turn, more of them while a case is unclear."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from upsampler_bench.case import Case, Settings
from upsampler_bench.compare import process
from upsampler_bench.compare.comparison import BUDGET, DECIDED, INTERRUPTED, MOST, Comparison
from upsampler_bench.compare.process import Side
from upsampler_bench.compare.rule import LOOKS, UNCLEAR, Result, Rule, judge, look
from upsampler_bench.compare.samples import BASE, CONTROL, HEAD, SIDES, Sample
from upsampler_bench.units import counted

WRONG = "wrong output"
# A budget is suggested in multiples of so many seconds.
ROUND = 30
Measure = Callable[[Sequence[Case], Side, str, Settings], Sample]


@dataclass(frozen=True)
class Schedule:
    """What to compare, and how long it may take.

    Attributes:
        sides: by BASE, HEAD and CONTROL.
        cases: of one group, as the base calls them.
        budget: seconds in all; 0: no limit.
        spent: seconds of the budget that were used before the first process, by one for each of the two revisions.
        conditions: how many conditions have as much of the command's budget.
    """

    sides: dict[str, Side]
    cases: tuple[Case, ...]
    settings: Settings
    rule: Rule
    budget: float = 0.0
    spent: float = 0.0
    conditions: int = 1

    def fits(self, seconds: float) -> bool:
        """Whether the budget allows for this long."""
        return not self.budget or seconds <= self.budget


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
        SideError: a side cannot be measured.
    """
    begun = clock() - schedule.spent
    samples: list[Sample] = []
    results: dict[str, Result] = {}
    keys, cases, longest, stopped = [case.key for case in schedule.cases], schedule.cases, 0.0, MOST
    try:
        for number in range(LOOKS[-1]):
            if number and not schedule.fits(clock() - begun + len(SIDES) * longest):
                stopped = BUDGET
                break
            longest = _measure_pass(schedule, cases, number, samples, say, measure, clock)
            if number == 0:
                _warn_of_budget(schedule, (clock() - begun - schedule.spent) / len(SIDES), say)
            if number + 1 in LOOKS:
                results = look(samples, keys, schedule.rule, results)
                cases = tuple(case for case in cases if case.key in results and results[case.key].verdict == UNCLEAR)
            if not cases:
                stopped = DECIDED
                break
    except KeyboardInterrupt:
        stopped = INTERRUPTED
    if stopped in (BUDGET, INTERRUPTED):
        results = look(samples, keys, schedule.rule, results)
    return _comparison(schedule, tuple(samples), tuple(results.values()), stopped, clock() - begun)


def _measure_pass(
    schedule: Schedule, cases: tuple[Case, ...], number: int, samples: list[Sample],
    say: Callable[[str], None], measure: Measure, clock: Callable[[], float],
) -> float:  # fmt: skip
    """Adds one sample per side, and returns the seconds of the slowest.

    Every second pass is in reverse order, so that a steady drift of the machine cancels.
    """
    size = next(size for size in LOOKS if number < size)
    longest = 0.0
    for side in SIDES if number % 2 == 0 else SIDES[::-1]:
        begun = clock()
        settings = replace(schedule.settings, seed=schedule.settings.seed + len(samples))
        samples.append(measure(cases, schedule.sides[side], side, settings))
        seconds = clock() - begun
        longest = max(longest, seconds)
        say(f"{side} {number + 1} of {size}: {counted(len(cases), 'case')} in {seconds:.1f} s")
    return longest


def _warn_of_budget(schedule: Schedule, seconds: float, say: Callable[[str], None]) -> None:
    """Says if the budget does not reach the first look where a process takes this long, and what would."""
    needed = schedule.spent + LOOKS[0] * len(SIDES) * seconds
    if schedule.fits(needed):
        return
    possible = max(1, int((schedule.budget - schedule.spent) / (len(SIDES) * seconds)))
    enough = math.ceil(needed * schedule.conditions / ROUND) * ROUND
    say(
        f"The budget for this condition is {schedule.budget:.0f} s, enough for about {possible} of {LOOKS[0]} "
        f"processes per side, which need about {needed:.0f} s here. Going on with fewer: what they do not decide is "
        f"{UNCLEAR}. To decide more, give --budget {enough}, fewer operators or a smaller shape."
    )


def _comparison(
    schedule: Schedule, samples: tuple[Sample, ...], results: tuple[Result, ...], stopped: str, seconds: float
) -> Comparison:  # fmt: skip
    keys = tuple(case.key for case in schedule.cases)
    lost, wrong = {}, {}
    for sample in samples:
        for key, reason in sample.lost.items():
            lost[key] = f"{sample.side}: {reason}"
            if sample.side == HEAD and reason.startswith(WRONG):
                wrong[key] = reason
    base, head, group = schedule.sides[BASE].name, schedule.sides[HEAD].name, schedule.cases[0].group
    control = judge(samples, keys, schedule.rule, (BASE, CONTROL))
    return Comparison(
        base, head, group, keys, schedule.rule, samples, results, control,
        stopped=stopped, seconds=seconds, wrong=wrong, lost=lost,
    )  # fmt: skip
