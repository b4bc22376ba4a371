"""How a comparison is measured: order, more processes, budget, interruption; with made-up samples and clock."""

import random

import pytest

from upsampler_bench.case import Case
from upsampler_bench.compare import comparison, process, schedule
from upsampler_bench.compare.process import Side, SideError, settings
from upsampler_bench.compare.rule import DEFAULT
from upsampler_bench.compare.samples import BASE, CONTROL, HEAD, SIDES, Sample, Timing, count
from upsampler_bench.compare.schedule import Schedule
from upsampler_bench.runner.protocol import Message

CASES = tuple(Case(name, channels=8, height=6, width=5) for name in ("carafe", "dysample"))


class Machine:
    """Makes samples up: `slower` is by what factor the head's operators are slower; a sample takes `seconds`."""

    def __init__(self, slower=(), spread=0.003, seconds=2.0, interrupt=0, lose=None):
        self.slower, self.spread, self.seconds = dict(slower), spread, seconds
        self.interrupt, self.lose = interrupt, lose
        self.now, self.calls, self.chance = 0.0, [], random.Random(1)

    def clock(self):
        return self.now

    def measure(self, cases, side, name, how):
        self.now += self.seconds
        self.calls.append((name, [case.upsampler for case in cases], how.seed))
        if self.interrupt and len(self.calls) > self.interrupt:
            raise KeyboardInterrupt
        timed = {case.key: self.timing(case.upsampler, name) for case in cases if not self.loses(case, name)}
        return Sample(name, timed, {case.key: self.lose[2] for case in cases if self.loses(case, name)})

    def loses(self, case, name):
        return self.lose is not None and self.lose[:2] == (case.upsampler, name)

    def timing(self, operator, name):
        value = self.slower.get(operator, 1.0) if name == HEAD else 1.0
        value *= self.chance.lognormvariate(0, self.spread)
        return Timing((value,) * 4, value)


def compare(machine, budget=0.0, spent=0.0, conditions=1):
    lines = []
    plan = Schedule({name: Side(name) for name in SIDES}, CASES, settings(), DEFAULT, budget, spent, conditions)
    return schedule.compare(plan, lines.append, machine.measure, machine.clock), lines


def test_passes_alternate_so_that_a_drift_cancels():
    machine = Machine()
    compare(machine)
    assert [name for name, *_ in machine.calls[:9]] == [BASE, HEAD, CONTROL, CONTROL, HEAD, BASE, BASE, HEAD, CONTROL]


def test_what_is_clear_after_eight_processes_ends_there():
    machine = Machine({"dysample": 1.1})
    compared, lines = compare(machine)
    assert [result.verdict for result in compared.results] == ["SAME", "SLOWER"]
    assert (compared.stopped, len(compared.samples), len(lines)) == (comparison.DECIDED, 24, 24)
    assert len(compared.control) == 2
    assert not compared.false_alarms
    assert len({seed for *_, seed in machine.calls}) == 24


def test_only_unclear_cases_get_more_processes():
    machine = Machine({"dysample": 1.0488}, spread=0.002)
    compared, _ = compare(machine)
    assert machine.calls[0][1] == ["carafe", "dysample"]
    assert machine.calls[-1][1] == ["dysample"]
    assert compared.results[0].head == 8
    assert compared.results[1].head > 8


def test_a_case_that_stays_unclear_is_measured_in_at_most_32_processes():
    compared, _ = compare(Machine(spread=0.5))
    assert compared.stopped == comparison.MOST
    assert count(compared.samples, HEAD) == 32
    assert {result.verdict for result in compared.results} == {"UNCLEAR"}


def test_a_budget_ends_it_in_time():
    machine = Machine(spread=0.5)
    compared, _ = compare(machine, budget=60.0)
    assert compared.stopped == comparison.BUDGET
    assert machine.now <= 60.0
    assert count(compared.samples, HEAD) >= 8


def test_a_budget_too_small_for_the_first_look_is_said_early_and_leaves_cases_unclear():
    machine = Machine()
    compared, lines = compare(machine, budget=20.0)
    assert "The budget for this condition is 20 s, enough for about 3 of 8 processes per side" in lines[3]
    assert "which need about 48 s" in lines[3]
    assert compared.stopped == comparison.BUDGET
    assert machine.now <= 20.0
    assert {result.verdict for result in compared.results} == {"UNCLEAR"}


def test_an_interruption_keeps_what_was_measured():
    compared, _ = compare(Machine(interrupt=10))
    assert compared.stopped == comparison.INTERRUPTED
    assert len(compared.samples) == 10
    assert len(compared.results) == 2


def test_a_case_whose_output_the_head_gets_wrong_is_reported():
    compared, _ = compare(Machine(lose=("dysample", HEAD, "wrong output: not finite")))
    assert compared.wrong == {CASES[1].key: "wrong output: not finite"}
    assert compared.no_longer_timed == (CASES[1].key,)
    assert [result.key for result in compared.results] == [CASES[0].key]


@pytest.mark.parametrize(("size", "calls"), [(32, 8), (120, 2), (480, 1)])
def test_both_sides_make_equally_many_calls_however_long_one_takes(size, calls, monkeypatch):
    requests = []

    def messages(cases, side, how):
        requests.append(how)
        return []

    monkeypatch.setattr(process, "_messages", messages)
    with pytest.raises(SideError):
        process.measure([Case("carafe", channels=64, height=size, width=size)], Side("here"), BASE, settings())
    assert [how.turn for how in requests] == [calls]


def test_a_base_of_which_nothing_is_timed_ends_the_comparison_and_a_head_loses_its_rows(monkeypatch):
    failed = [Message("failed", CASES[0].key, text="crashed")]
    monkeypatch.setattr(process, "_messages", lambda cases, side, how: failed)
    with pytest.raises(SideError, match="the base cannot be measured: crashed"):
        process.measure(CASES[:1], Side("the base"), BASE, settings())
    assert process.measure(CASES[:1], Side("the head"), HEAD, settings()).lost == {CASES[0].key: "crashed"}
