"""The order of a comparison: base, head and the base once more, alternating, topped up while a case is unclear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from upsampler_bench.case import Case, Settings
from upsampler_bench.compare import comparison
from upsampler_bench.compare.comparison import BUDGET, INTERRUPTED, LOOKS, MOST, WHOLE, Duel
from upsampler_bench.compare.measuring import Corner, measure
from upsampler_bench.compare.rule import Finding, Rule, judge
from upsampler_bench.compare.samples import BASE, CONTROL, HEAD, Point
from upsampler_bench.errors import PlanError

WRONG = "wrong output"
Clock = Callable[[], float]


class Taker(Protocol):
    """Measures one point; `point.measure` but in tests."""

    def __call__(self, cases: Sequence[Case], corner: Corner, arm: str, how: Settings) -> Point:
        """One process of an arm."""


@dataclass(frozen=True)
class Bout:
    """What is to be compared, and how long it may take.

    Attributes:
        corners: by arm; the control is the base's once more.
        cases: of one group, as the base calls them.
        budget: seconds for all; 0: as long as it takes.
        spent: seconds of it that went before the first process.
    """

    corners: dict[str, Corner]
    cases: tuple[Case, ...]
    how: Settings
    rule: Rule
    budget: float = 0.0
    spent: float = 0.0
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _State:
    bout: Bout
    take: Taker
    clock: Clock
    say: Callable[[str], None]
    begun: float
    points: tuple[Point, ...] = ()
    findings: dict[str, Finding] = field(default_factory=dict)
    longest: float = 0.0


def order(passes: int) -> Iterator[str]:
    """The arms, each pass in the reverse order of the one before: a steady drift cancels."""
    arms = (BASE, HEAD, CONTROL)
    for number in range(passes):
        yield from arms if number % 2 == 0 else arms[::-1]


def compare(bout: Bout, say: Callable[[str], None], take: Taker | None = None, clock: Clock = time.monotonic) -> Duel:
    """Measures until every case is decided, the most processes are taken, or the budget is spent.

    Ctrl-C ends it with what was measured.

    Raises:
        PlanError: the budget cannot hold the least processes.
        SideError: a side cannot be measured.
    """
    state = _State(bout, take or _take, clock, say, clock() - bout.spent)
    stopped = MOST
    cases = bout.cases
    try:
        for size in LOOKS:
            left = size - comparison.count(state.points, HEAD)
            if not _pass(state, cases, left, size):
                stopped = BUDGET
                break
            _look(state)
            cases = tuple(one for one in bout.cases if one.key in comparison.unsettled(state.findings))
            if not cases:
                stopped = WHOLE
                break
    except KeyboardInterrupt:
        stopped = INTERRUPTED
    if stopped in (BUDGET, INTERRUPTED):
        _look(state)
    return _finished(state, stopped)


def _take(cases: Sequence[Case], corner: Corner, arm: str, how: Settings) -> Point:
    return measure(cases, corner, arm, how)


def _pass(state: _State, cases: tuple[Case, ...], passes: int, size: int) -> bool:
    """Takes so many points an arm; False where the budget ends before."""
    for number, arm in enumerate(order(passes)):
        before = state.clock()
        spent = before - state.begun
        if state.bout.budget and state.points and number % 3 == 0 and spent + 3 * state.longest > state.bout.budget:
            return False
        how = replace(state.bout.how, seed=state.bout.how.seed + len(state.points))
        point = state.take(cases, state.bout.corners[arm], arm, how)
        state.points = (*state.points, point)
        took = state.clock() - before
        state.longest = took if number % 3 == 0 else max(state.longest, took)
        told = f"{len(cases)} case{'s' * (len(cases) != 1)}"
        state.say(f"{arm} {comparison.count(state.points, arm)} of {size}: {told} in {took:.1f} s")
        if len(state.points) == 3:
            _check_budget(state)
    return True


def _check_budget(state: _State) -> None:
    """Refuses early what cannot end in time."""
    bout = state.bout
    needed = bout.spent + (state.clock() - state.begun - bout.spent) * LOOKS[0]
    if bout.budget and needed > bout.budget:
        raise PlanError(
            f"a budget of {bout.budget:g} s is too small: {LOOKS[0]} processes a side take about {needed:.0f} s here; "
            f"give more, or fewer operators or a smaller shape"
        )


def _look(state: _State) -> None:
    keys = tuple(one.key for one in state.bout.cases)
    settled = {key: one for key, one in state.findings.items() if one.verdict != "UNCLEAR"}
    state.findings = comparison.look(state.points, keys, state.bout.rule, settled)


def _finished(state: _State, stopped: str) -> Duel:
    bout = state.bout
    keys = tuple(one.key for one in bout.cases)
    base, head = bout.corners[BASE], bout.corners[HEAD]
    lost = {key: f"{one.arm}: {why}" for one in state.points for key, why in one.lost.items()}
    wrong = {
        key: why for one in state.points if one.arm == HEAD for key, why in one.lost.items() if why.startswith(WRONG)
    }
    return Duel(
        base.name, head.name, f"{bout.cases[0].condition}/{bout.cases[0].mode}", keys, bout.rule, state.points,
        tuple(state.findings[key] for key in keys if key in state.findings),
        judge(state.points, keys, bout.rule, (BASE, CONTROL)), bout.added, bout.removed, stopped,
        state.clock() - state.begun, wrong, lost, bout.notes,
    )  # fmt: skip
