"""How a comparison is measured: order, top-up, budget, interruption; with points made up and a clock of our own."""

import random

import pytest

from upsampler_bench.case import Case
from upsampler_bench.compare import comparison, measuring, schedule
from upsampler_bench.compare.measuring import Corner, SideError, settings
from upsampler_bench.compare.rule import DEFAULT
from upsampler_bench.compare.samples import BASE, CONTROL, HEAD, Point, Timing
from upsampler_bench.compare.schedule import Bout
from upsampler_bench.errors import PlanError

CASES = tuple(Case(name, channels=8, height=6, width=5) for name in ("carafe", "dysample"))
CORNERS = {arm: Corner(arm) for arm in (BASE, HEAD, CONTROL)}


class Bench:
    """Makes points up: `slower` is by how much the head's operators are slower; each point takes `seconds`."""

    def __init__(self, slower=(), spread=0.003, seconds=2.0, interrupt=0, lose=None):
        self.slower, self.spread, self.seconds = dict(slower), spread, seconds
        self.interrupt, self.lose = interrupt, lose
        self.now, self.asked, self.chance = 0.0, [], random.Random(1)

    def clock(self):
        return self.now

    def take(self, cases, corner, arm, how):
        self.now += self.seconds
        self.asked.append((arm, [one.upsampler for one in cases], how.seed))
        if self.interrupt and len(self.asked) > self.interrupt:
            raise KeyboardInterrupt
        found = {one.key: self.timing(one.upsampler, arm) for one in cases if not self.is_lost(one, arm)}
        lost = {one.key: self.lose[2] for one in cases if self.is_lost(one, arm)}
        return Point(arm, found, lost)

    def is_lost(self, case, arm):
        return self.lose is not None and self.lose[:2] == (case.upsampler, arm)

    def timing(self, name, arm):
        value = self.slower.get(name, 1.0) if arm == HEAD else 1.0
        value *= self.chance.lognormvariate(0, self.spread)
        return Timing((value,) * 4, (1.0,) * 4, value)


def fight(bench, budget=0.0):
    said = []
    bout = Bout(CORNERS, CASES, settings(), DEFAULT, budget)
    return schedule.compare(bout, said.append, bench.take, bench.clock), said


def test_passes_alternate_so_that_a_drift_cancels():
    assert list(schedule.order(2)) == [BASE, HEAD, CONTROL, CONTROL, HEAD, BASE]


def test_what_is_clear_after_eight_processes_ends_there():
    bench = Bench({"dysample": 1.1})
    found, said = fight(bench)
    assert [one.verdict for one in found.findings] == ["SAME", "SLOWER"]
    assert (found.stopped, len(found.points), len(said)) == (comparison.WHOLE, 24, 24)
    assert len(found.control) == 2
    assert not found.is_advisory
    assert len({seed for *_, seed in bench.asked}) == 24


def test_only_what_is_unclear_gets_more_processes():
    bench = Bench({"dysample": 1.0488}, spread=0.002)
    found, _ = fight(bench)
    assert bench.asked[0][1] == ["carafe", "dysample"]
    assert bench.asked[-1][1] == ["dysample"]
    assert found.findings[0].head == 8
    assert found.findings[1].head > 8


def test_the_most_processes_are_taken_and_then_it_is_said_to_be_unclear():
    found, _ = fight(Bench(spread=0.5))
    assert found.stopped == comparison.MOST
    assert comparison.count(found.points, HEAD) == 32
    assert {one.verdict for one in found.findings} == {"UNCLEAR"}


def test_a_budget_ends_it_in_time():
    bench = Bench(spread=0.5)
    found, _ = fight(bench, budget=60.0)
    assert found.stopped == comparison.BUDGET
    assert bench.now <= 60.0
    assert comparison.count(found.points, HEAD) >= 8


def test_a_budget_too_small_is_refused_early_with_what_would_do():
    bench = Bench()
    with pytest.raises(PlanError, match="a budget of 20 s is too small: 8 processes a side take about 48 s"):
        fight(bench, budget=20.0)
    assert len(bench.asked) == 3


def test_an_interruption_keeps_what_was_measured():
    found, _ = fight(Bench(interrupt=10))
    assert found.stopped == comparison.INTERRUPTED
    assert len(found.points) == 10
    assert len(found.findings) == 2


def test_a_case_that_the_head_gets_wrong_is_told_so():
    found, _ = fight(Bench(lose=("dysample", HEAD, "wrong output: not finite")))
    assert found.wrong == {CASES[1].key: "wrong output: not finite"}
    assert found.newly_lost == (CASES[1].key,)
    assert [one.key for one in found.findings] == [CASES[0].key]


@pytest.mark.parametrize(("side", "calls"), [(32, 8), (120, 2), (480, 1)])
def test_both_sides_draw_as_often_whatever_they_take(side, calls, monkeypatch):
    asked = []
    monkeypatch.setattr(measuring, "Process", lambda request, side: asked.append(request))
    monkeypatch.setattr(measuring, "heard", lambda process, name: [])
    with pytest.raises(SideError):
        measuring.measure([Case("carafe", channels=64, height=side, width=side)], Corner("here"), BASE, settings())
    assert [one.settings.turn for one in asked] == [calls]
