"""Conditions that several processes share, measured by processes that answer at once."""

from dataclasses import replace
from typing import ClassVar

import pytest
from fake_process import ROUNDS, FakeProcess, Silence

from upsampler_bench import plan, report, storage
from upsampler_bench.case import Case
from upsampler_bench.errors import ResultsError
from upsampler_bench.runner import pool, scheduler, session
from upsampler_bench.stats import covered

KEYS = {"upsampler": ["nearest", "carafe"], "shape": "16x8x8", "device": "cpu", "mode": "inference"}
NEAREST, CARAFE = (Case(name, "inference", 1, 16, 8, 8) for name in ("nearest", "carafe"))


class Listener(Silence):
    def __init__(self):
        self.finished = []

    def update(self, message):
        if message.reading and "stop" in message.reading.facts:
            self.finished.append(message.key)


class Process(FakeProcess):
    """In each process carafe is 10 % slower than in the one before; nearest may end one, or meet Ctrl-C there."""

    requests: ClassVar[list] = []
    crash_in = interrupt_in = 0

    def __init__(self, request, **placed):
        super().__init__(request, **placed)
        self.requests.append(request)
        self.number, self.code = len(self.requests), 0

    def read(self):
        message = super().read()
        if message and message.key == NEAREST.key and message.kind == "at" and self.number == self.interrupt_in:
            raise KeyboardInterrupt
        if message and message.key == NEAREST.key and message.kind == "at" and self.number == self.crash_in:
            self.code, self._messages = -11, iter(())
        if message and message.key == CARAFE.key and message.reading:
            factor = 1.1 ** (self.number - 1)
            rounds = tuple(tuple(factor * seconds for seconds in calls) for calls in message.reading.rounds)
            return replace(message, reading=replace(message.reading, rounds=rounds))
        return message

    def interrupt(self):
        self._messages = iter(())

    def end(self, *, patience=0.0):
        return self.code


@pytest.fixture(autouse=True)
def _fake(monkeypatch):
    monkeypatch.setattr(pool, "Process", Process)
    monkeypatch.setattr(Process, "requests", [])


def measure(folder=None, listener=None, previous=None, **keys):
    parsed = plan.parse({**KEYS, "metrics": ["latency", "params"], **keys})
    return scheduler.run(replace(session.prepare(parsed, folder), previous=previous), listener or Listener())


def test_three_processes_share_the_timing_and_their_spread_is_in_the_interval(tmp_path):
    listener = Listener()
    run = measure(tmp_path, listener)
    assert [request.timed_only for request in Process.requests] == [False, True, True]
    assert run.measurement(CARAFE).reading("latency").processes == (ROUNDS,) * 3
    ratio, steady = run.ratio(CARAFE, "latency"), run.ratio(NEAREST, "latency")
    assert covered(ratio.processes) == "between 3 processes"
    assert ratio.high / ratio.low > 1.21
    assert steady.high == pytest.approx(steady.low)
    assert storage.load(tmp_path) == run
    assert report.from_run(run).tables[0].title.endswith("; 95 % intervals between 3 processes")
    # A listener sees one measurement: each operator is finished once.
    assert sorted(listener.finished) == sorted(one.case.key for one in run.measurements)


def test_every_condition_has_had_a_process_before_one_has_a_second():
    measure(shape=["16x8x8", "16x9x8"], mode=["inference", "train"], metrics=["latency", "train_latency"])
    groups = [request.cases[0].group for request in Process.requests]
    assert groups == 3 * list(dict.fromkeys(groups))
    assert len(groups) == 12


def test_where_nothing_is_timed_one_process_does():
    measure(metrics=["params"])
    assert len(Process.requests) == 1


def test_a_crash_in_a_later_process_costs_its_row_and_the_others_are_timed_again_there(monkeypatch):
    monkeypatch.setattr(Process, "crash_in", 2)
    run = measure(processes=2)
    assert run.measurement(NEAREST).status == "failed"
    assert run.measurement(NEAREST).reading("latency").processes == ()
    assert run.measurement(CARAFE).reading("latency").processes == (ROUNDS, ROUNDS)
    assert [len(request.cases) for request in Process.requests] == [3, 3, 2]


def test_ctrl_c_in_a_later_process_keeps_the_earlier_ones_and_resume_goes_on_there(monkeypatch):
    monkeypatch.setattr(Process, "interrupt_in", 2)
    run = measure()
    assert run.ended == "interrupted"
    assert {one.status for one in run.measurements} == {"measured"}
    assert report.from_run(run).tables[0].title.endswith("; 95 % intervals within one process")
    prepared = session.prepare(plan.parse({**KEYS, "metrics": ["latency", "params"]}))
    assert len(replace(prepared, previous=run).cases_left) == 3
    resumed = measure(previous=run)
    assert not replace(prepared, previous=resumed).cases_left
    assert len(Process.requests) == 4
    assert all(len(one.reading("latency").by_process) == 3 for one in resumed.measurements)


def test_rounds_are_paired_within_their_process():
    run = measure(processes=2)
    baseline = run.measurement(run.baseline_of(CARAFE))
    reading = baseline.reading("latency")
    rounds = (*reading.rounds[:ROUNDS], (9.0,), *reading.rounds[ROUNDS:])
    longer = replace(baseline, readings=(replace(reading, rounds=rounds, processes=(ROUNDS + 1, ROUNDS)),))
    assert run.with_measurement(longer).ratio(CARAFE, "latency") == run.ratio(CARAFE, "latency")


@pytest.mark.parametrize("counts", [(1, 2), (21, -1), (0, 20)])
def test_processes_that_do_not_add_up_are_refused(tmp_path, counts):
    run = measure(processes=2)
    (first, *others) = run.measurements
    readings = tuple(replace(one, processes=counts if one.metric == "latency" else ()) for one in first.readings)
    storage.save(replace(run, measurements=(replace(first, readings=readings), *others)), tmp_path)
    with pytest.raises(ResultsError, match="latency: expected processes that took 20 rounds"):
        storage.load(tmp_path)
