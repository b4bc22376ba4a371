"""A probe whose process crashes, hangs or is interrupted loses one capability; the rest goes on."""

import pytest
from fake_process import FakeProcess, Silence

from upsampler_bench import metrics
from upsampler_bench.case import PROBE, Case, Settings
from upsampler_bench.results import COMPLETE, INTERRUPTED, MEASURED, Environment, Reading
from upsampler_bench.runner import pool, scheduler
from upsampler_bench.runner.process import Stopped
from upsampler_bench.runner.protocol import Message
from upsampler_bench.runner.session import Session

FIRST, SECOND = Case("first", PROBE), Case("second", PROBE)
SETTINGS = Settings(metrics=("float16", "compiles"))
SEGFAULT, KILLED, DEAD_DEVICE = -11, -9, 70


def tried(case, *names):
    """All messages about an operator in which these are tried."""
    messages = [Message("at", case.key, "build"), Message("at", case.key, "output check")]
    for name in names:
        readings = [Reading(info.name, ((1.0,),), "m") for info in metrics.get(name).INFOS]
        messages += [Message("at", case.key, name), *(Message("reading", case.key, reading=one) for one in readings)]
    return [*messages, Message("probed", case.key)]


ENVIRONMENT = Message("environment", environment=Environment("Fake 1000", "cpu"))
END = Message("end")


class Scripted(FakeProcess):
    """A process that sends the messages of a script, and ends with the code that the script ends with."""

    def __init__(self, request, *, placement=None):
        self.requests.append(request)
        self.script = iter([ENVIRONMENT, *self.scripts.pop(0)])
        self.code = 0

    def read(self):
        message = next(self.script, None)
        if isinstance(message, int):
            self.code, message = message, None
        if isinstance(message, BaseException):
            raise message
        return message

    def end(self, patience=None):
        return self.code


class Listener(Silence):
    def __init__(self):
        self.messages = []

    def update(self, message):
        self.messages.append(message)

    def lost(self, case, reason):
        self.messages.append(Message("failed", case.key, text=reason))


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(pool, "Process", Scripted)

    def begin(*scripts, listener=None):
        Scripted.scripts, Scripted.requests = list(scripts), []
        finished = scheduler.run(Session((FIRST, SECOND), SETTINGS), listener or Listener())
        return {measurement.case.upsampler: measurement for measurement in finished.measurements}, finished

    return begin


def values(measurement):
    return {reading.metric: reading.samples for reading in measurement.readings}


COMPLETE_READINGS = {"float16": (1.0,), "compiles": (1.0,), "compile_time": (1.0,)}


def test_a_crash_costs_the_capability_that_was_tried_and_the_next_process_goes_on_after_it(run):
    listener = Listener()
    crash = [*tried(FIRST, "float16", "compiles"), Message("at", SECOND.key, "float16"), SEGFAULT]
    measurements, finished = run(crash, [*tried(SECOND, "compiles"), END], listener=listener)
    assert finished.ended == COMPLETE
    assert values(measurements["first"]) == COMPLETE_READINGS
    assert values(measurements["second"]) == {**COMPLETE_READINGS, "float16": (0.0,)}
    assert measurements["second"].reading("float16").notes == ("crashed the process: SIGSEGV",)
    assert {measurement.status for measurement in measurements.values()} == {MEASURED}
    # A complete operator is not probed again.
    assert [case.upsampler for case in Scripted.requests[1].cases] == ["second"]
    assert Scripted.requests[1].done[SECOND.key] == ["float16"]
    assert not [message.text for message in listener.messages if message.kind == "failed"]


def test_a_compiler_that_hangs_costs_its_cell_which_says_so_and_has_no_time(run):
    reason = "timed out: no response for 120 s"
    hang = [*tried(FIRST, "float16")[:-1], Message("at", FIRST.key, "compiles"), Stopped(reason)]
    measurements, _ = run(hang, [*tried(SECOND, "float16", "compiles"), END])
    assert values(measurements["first"]) == {"float16": (1.0,), "compiles": (0.0,), "compile_time": ()}
    assert {measurements["first"].reading(name).notes for name in ("compiles", "compile_time")} == {(reason,)}
    assert values(measurements["second"]) == COMPLETE_READINGS


def test_a_capability_whose_test_the_budget_ends_is_not_known(run):
    cut = [*tried(FIRST, "float16")[:-1], Message("at", FIRST.key, "compiles"), Stopped(SETTINGS.used_up)]
    measurements, _ = run(cut, [*tried(SECOND, "float16", "compiles"), END])
    assert values(measurements["first"]) == {"float16": (1.0,), "compiles": (), "compile_time": ()}


def test_a_process_that_gives_up_after_an_answer_is_followed_by_another(run):
    crash = [*tried(FIRST, "float16")[:-1], DEAD_DEVICE]
    measurements, _ = run(crash, [*tried(FIRST, "compiles"), *tried(SECOND, "float16", "compiles"), END])
    assert [values(measurement) for measurement in measurements.values()] == [COMPLETE_READINGS, COMPLETE_READINGS]


def test_a_crash_before_anything_is_tried_costs_the_row(run):
    crash = [Message("at", FIRST.key, "first call"), SEGFAULT]
    measurements, _ = run(crash, [*tried(SECOND, "float16", "compiles"), END])
    assert (measurements["first"].status, measurements["first"].readings) == ("failed", ())
    assert measurements["first"].reason == "crashed the process during 'first call': SIGSEGV"
    assert values(measurements["second"]) == COMPLETE_READINGS


def test_what_was_probed_when_the_user_ended_it_is_kept_as_it_is(run):
    interrupted = [*tried(FIRST, "float16", "compiles"), Message("at", SECOND.key, "float16"), KeyboardInterrupt()]
    measurements, finished = run(interrupted)
    assert finished.ended == INTERRUPTED
    assert (measurements["first"].status, measurements["first"].reason) == (MEASURED, "")
    assert values(measurements["first"]) == COMPLETE_READINGS
    assert (measurements["second"].status, measurements["second"].readings) == (INTERRUPTED, ())
