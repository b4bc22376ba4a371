"""The budget of a run: what each group gets of it, on processes that answer at once."""

import time
from dataclasses import replace

import pytest
from fake_process import FakeProcess, Silence

from upsampler_bench.case import Case, Settings
from upsampler_bench.commands.measuring import duration
from upsampler_bench.errors import NothingMeasured
from upsampler_bench.runner import pool, scheduler
from upsampler_bench.runner.process import Stopped
from upsampler_bench.runner.session import Session
from upsampler_bench.units import time_text


class Recorder(FakeProcess):
    """Keeps what was asked for."""

    requests = ()

    def __init__(self, request, **keys):
        self.requests.append(request)
        super().__init__(request, **keys)


def session(begun=0.0, **settings):
    cases = tuple(Case(name, "inference", 1, 8, size, size) for size in (4, 8) for name in ("bilinear", "nearest"))
    return Session(cases, Settings(metrics=("latency",), **settings), begun=time.monotonic() + begun, after=20.0)


@pytest.fixture
def requests(monkeypatch):
    monkeypatch.setattr(pool, "Process", Recorder)
    monkeypatch.setattr(Recorder, "requests", [])
    return Recorder.requests


def test_each_group_gets_its_share_of_what_is_left_and_the_report_keeps_its_time(requests):
    made = session(budget=1020.0)
    now = time.monotonic()
    scheduler.run(made, Silence())
    first, second = (request.deadline - now for request in requests)
    assert first == pytest.approx(500.0, abs=20.0)
    assert second == pytest.approx(1000.0, abs=20.0)


def test_without_a_budget_there_is_no_deadline(requests):
    scheduler.run(session(), Silence())
    assert [request.deadline for request in requests] == [0.0, 0.0]


def test_after_the_budget_no_process_starts_and_every_row_says_why(requests):
    with pytest.raises(NothingMeasured, match="bilinear, nearest: the budget of 60 s is used up"):
        scheduler.run(session(begun=-50.0, budget=60.0), Silence())
    assert not requests


def test_a_budget_that_ends_while_a_process_starts_skips_its_cases(monkeypatch):
    made = session(budget=1000.0)

    class Slow(FakeProcess):
        def read(self):
            raise Stopped(made.settings.used_up)

    monkeypatch.setattr(pool, "Process", Slow)
    with pytest.raises(NothingMeasured, match="bilinear, nearest: the budget of 1000 s is used up"):
        scheduler.run(made, Silence())


def test_what_the_budget_had_no_time_for_is_measured_when_the_run_is_continued(requests):
    made = session(budget=1000.0)
    run = scheduler.run(made, Silence())
    lost = run.measurements[-1]
    skipped = replace(lost, status="skipped", reason=made.settings.used_up, readings=())
    continued = replace(made, previous=replace(run, measurements=(*run.measurements[:-1], skipped)))
    assert continued.cases_left == (lost.case,)
    killed = replace(lost, status="failed", reason="crashed the process during 'latency': SIGKILL")
    assert replace(made, previous=run.with_measurement(killed)).cases_left == (lost.case,)
    requests.clear()
    again = scheduler.run(continued, Silence()).measurement(lost.case)
    assert (again.status, again.reason) == ("measured", "")
    assert again.reading("latency").samples
    assert [request.cases[0].height for request in requests] == [lost.case.height]


def test_before_a_run_its_time_in_all_is_printed_or_its_budget():
    expected, most = session().expectation()
    about = f"about {time_text(expected + 20.0)}"
    assert duration([session()], 20.0) == f"{about}, at most {time_text(most + 60.0)} in all"
    assert duration([session(budget=60.0)], 20.0) == f"{about}, skipped beyond 60 s"
