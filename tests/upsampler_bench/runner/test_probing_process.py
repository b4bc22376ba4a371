"""What becomes of a probe whose process dies, hangs or is interrupted: one capability is lost, the rest goes on."""

import pytest

from upsampler_bench import metrics
from upsampler_bench.case import PROBE, Case, Settings
from upsampler_bench.results import COMPLETE, INTERRUPTED, MEASURED, Environment, Reading
from upsampler_bench.runner import scheduler
from upsampler_bench.runner.job import Job
from upsampler_bench.runner.process import Silent
from upsampler_bench.runner.protocol import Message

FIRST, SECOND = Case("first", PROBE), Case("second", PROBE)
SETTINGS = Settings(metrics=("float16", "compiles"))
SEGFAULT, KILLED, DEAD_DEVICE = -11, -9, 70


def answer(case, metric, value=1.0):
    readings = metrics.get(metric).INFOS
    return [Message("reading", case.key, reading=Reading(one.name, ((value,),), "m")) for one in readings]


def tried(case, *names):
    """All that a process says of an operator in which these are tried."""
    said = [Message("at", case.key, "build"), Message("at", case.key, "verify")]
    for name in names:
        said += [Message("at", case.key, name), *answer(case, name)]
    return [*said, Message("probed", case.key)]


ENVIRONMENT = Message("environment", environment=Environment("Fake 1000", "cpu"))
END = Message("end")


class Scripted:
    """A process that says what it is told to, and then ends with the code that the script ends with."""

    def __init__(self, request):
        self.requests.append(request)
        self.said = iter([ENVIRONMENT, *self.scripts.pop(0)])
        self.code = 0

    def hear(self):
        said = next(self.said, None)
        if isinstance(said, int):
            self.code, said = said, None
        if isinstance(said, BaseException):
            raise said
        return said

    def interrupt(self): ...

    def end(self, patience=None):
        return self.code

    def last_words(self):
        return ""


class Listening:
    def __init__(self):
        self.heard = []

    def begin(self, cases): ...

    def hear(self, message):
        self.heard.append(message)

    def lost(self, case, reason):
        self.heard.append(Message("failed", case.key, text=reason))

    def end(self, cases): ...


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(scheduler, "Process", Scripted)

    def begin(*scripts, listener=None):
        Scripted.scripts, Scripted.requests = list(scripts), []
        found = scheduler.run(Job((FIRST, SECOND), SETTINGS, ()), listener or Listening(), lambda run: None)
        return {one.case.upsampler: one for one in found.measurements}, found

    return begin


def values(measurement):
    return {one.metric: one.samples for one in measurement.readings}


WHOLE = {"float16": (1.0,), "compiles": (1.0,), "compile_time": (1.0,)}


def test_a_crash_costs_the_capability_that_was_tried_and_the_next_process_goes_on_after_it(run):
    listener = Listening()
    crash = [*tried(FIRST, "float16", "compiles"), Message("at", SECOND.key, "float16"), SEGFAULT]
    found, whole = run(crash, [*tried(SECOND, "compiles"), END], listener=listener)
    assert whole.ended == COMPLETE
    assert values(found["first"]) == WHOLE
    assert values(found["second"]) == {**WHOLE, "float16": (0.0,)}
    assert found["second"].reading("float16").notes == ("crashed the process: SIGSEGV",)
    assert {one.status for one in found.values()} == {MEASURED}
    assert [one.upsampler for one in Scripted.requests[1].cases] == ["second"], "what is whole is not probed again"
    assert Scripted.requests[1].done[SECOND.key] == ["float16"]
    assert not [one.text for one in listener.heard if one.kind == "failed"]


def test_a_compiler_that_hangs_costs_its_cell_which_says_so_and_has_no_time(run):
    hang = [*tried(FIRST, "float16")[:-1], Message("at", FIRST.key, "compiles"), Silent(120.0)]
    found, _ = run(hang, [*tried(SECOND, "float16", "compiles"), END])
    assert values(found["first"]) == {"float16": (1.0,), "compiles": (0.0,), "compile_time": ()}
    said = ("timed out: no response for 120 s",)
    assert {found["first"].reading(name).notes for name in ("compiles", "compile_time")} == {said}
    assert values(found["second"]) == WHOLE


def test_a_process_that_gives_up_after_an_answer_is_followed_by_another(run):
    gone = [*tried(FIRST, "float16")[:-1], DEAD_DEVICE]
    found, _ = run(gone, [*tried(FIRST, "compiles"), *tried(SECOND, "float16", "compiles"), END])
    assert [values(one) for one in found.values()] == [WHOLE, WHOLE]


def test_a_crash_before_anything_is_tried_costs_the_row(run):
    crash = [Message("at", FIRST.key, "first call"), SEGFAULT]
    found, _ = run(crash, [*tried(SECOND, "float16", "compiles"), END])
    assert (found["first"].status, found["first"].readings) == ("failed", ())
    assert found["first"].reason == "crashed the process during 'first call': SIGSEGV"
    assert values(found["second"]) == WHOLE


def test_what_was_probed_when_the_user_ended_it_is_kept_as_it_is(run):
    interrupted = [*tried(FIRST, "float16", "compiles"), Message("at", SECOND.key, "float16"), KeyboardInterrupt()]
    found, whole = run(interrupted)
    assert whole.ended == INTERRUPTED
    assert (found["first"].status, found["first"].reason) == (MEASURED, "")
    assert values(found["first"]) == WHOLE
    assert (found["second"].status, found["second"].readings) == (INTERRUPTED, ())
