"""What a run keeps, gives up and continues, whatever an operator does; the measuring process is this one."""

import math
import sys

import pytest
from fake_process import QUICK, Silence

import upsamplers
from upsampler_bench import metrics, plan, storage
from upsampler_bench.errors import BenchError, NothingMeasured, OutputError, PlanError, ResultsError
from upsampler_bench.results import Reading
from upsampler_bench.runner import pool, scheduler, session
from upsampler_bench.runner.process import Process

SOURCE = "import torch, upsamplers\nupsamplers.register_module('mine', lambda c, s: torch.nn.Upsample(scale_factor=s))"

KEYS = {**QUICK, "shape": "8x6x5", "device": "cpu", "max_time": 1.0, "metrics": ["params", "latency"]}

pytestmark = pytest.mark.usefixtures("here")


def measure(folder, *names, listener=None, resume=False, **keys):
    parsed = plan.parse({**KEYS, "upsampler": list(names), **keys})
    return scheduler.run(session.prepare(parsed, folder, resume=resume), listener or Silence())


def reasons(run):
    return {row.case.upsampler: (row.status, row.reason) for row in run.measurements if row.reason}


class InterruptAfter(Silence):
    """Ctrl-C arrives when the first rounds are under way, always at the same point of the program."""

    pressed = False

    def update(self, message):
        if not self.pressed and message.kind == "at" and (message.facts or {}).get("samples", 0) > 3:
            self.pressed = True
            raise KeyboardInterrupt


def test_ctrl_c_leaves_a_readable_run_that_resume_completes(tmp_path):
    keys = {"max_time": 10.0, "min_samples": 10**6, "target_ci": 0.0}
    run = measure(tmp_path, "good", "nearest", listener=InterruptAfter(), **keys)
    assert run.ended == "interrupted"
    stored = storage.load(tmp_path)
    good = next(row for row in stored.measurements if row.case.upsampler == "good")
    assert good.reading("latency").facts["stop"] == "interrupted"
    assert good.reading("latency").samples
    with pytest.raises(PlanError, match="min_samples, target_ci differ"):
        measure(tmp_path, "good", "nearest", resume=True, max_time=10.0)
    resumed = measure(tmp_path, "good", "nearest", resume=True, listener=InterruptAfter(), **keys)
    assert resumed.started == run.started
    assert len(resumed.measurements) == 3


class InterruptAtSecond(Silence):
    """Ctrl-C arrives when the first operator is prepared and the second is about to be."""

    def update(self, message):
        if message.kind == "at" and message.step == "build" and message.key.startswith("good/"):
            raise KeyboardInterrupt


@pytest.mark.parametrize("mode", ["inference", "train"])
def test_resume_keeps_every_reading_of_every_metric(tmp_path, mode):
    wanted = [name for name in metrics.names() if metrics.get(name).INFOS[0].mode == mode]
    keys = {"metrics": wanted, "mode": mode, "max_time": 1.0}
    interrupted = measure(tmp_path, "good", listener=InterruptAtSecond(), **keys)
    assert interrupted.ended == "interrupted"
    assert [row.status for row in interrupted.measurements] == ["interrupted"] * 2  # also what had not begun
    before = {reading.metric: reading for reading in interrupted.measurements[0].readings}
    assert before
    resumed = measure(tmp_path, "good", resume=True, **keys)
    bilinear, good = ({reading.metric: reading for reading in row.readings} for row in resumed.measurements)
    assert set(bilinear) == set(good)
    assert before.items() <= bilinear.items()


def test_what_could_not_be_read_is_not_tried_again_and_its_reason_is_given_once(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics.get("params"), "measure", lambda *_: [Reading("params", ((math.inf,),), "")])
    first = measure(tmp_path, "good")
    assert set(reasons(first).values()) == {("measured", "no params: its value is not finite")}
    assert measure(tmp_path, "good", resume=True).measurements == first.measurements
    assert measure(tmp_path, "good", "nearest").measurements[-1].reading("latency")


def test_a_run_of_a_plug_in_is_not_resumed_without_it(tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE)
    measure(tmp_path / "run", "mine", plugin=str(tmp_path / "mine.py"))
    with pytest.raises(PlanError, match="plugins"):
        measure(tmp_path / "run", "*", resume=True)


def test_a_baseline_may_have_options(tmp_path):
    run = measure(tmp_path, "good", baseline="dysample[groups=1]")
    assert {row.case.upsampler for row in run.measurements} == {"good", "dysample[groups=1]"}


def test_a_second_ctrl_c_while_processes_end_keeps_what_was_measured(tmp_path):
    def interrupted_twice(state):
        scheduler._measure_groups(state)
        raise KeyboardInterrupt

    ready = session.prepare(plan.parse({**KEYS, "upsampler": ["good"]}), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        scheduler.run(ready, Silence(), interrupted_twice)
    assert storage.load(tmp_path).measurements[0].has_results


def test_resume_measures_only_what_is_missing(tmp_path):
    first = measure(tmp_path, "good", "nearest", "raises")
    messages = []

    class Recorder(Silence):
        def update(self, message):
            messages.append(message)

    again = measure(tmp_path, "good", "nearest", "raises", resume=True, listener=Recorder())
    assert messages == []
    assert again.measurements == first.measurements
    with pytest.raises(ResultsError, match="nothing to resume"):
        measure(tmp_path / "elsewhere", "good", resume=True)


def test_running_out_of_memory_skips_larger_shapes_of_the_same_operator(tmp_path, monkeypatch):
    def misbehave(up, x):
        raise MemoryError

    monkeypatch.setattr(upsamplers.get("raises").cls, "misbehave", misbehave)
    run = measure(tmp_path, "raises", "nearest", shape=["8x6x5", "16x6x5"])
    lost = [(row.status, row.reason) for row in run.measurements if row.case.upsampler == "raises"]
    assert lost[0] == ("failed", "out of memory")
    assert lost[1] == ("skipped", "ran out of memory at the smaller 1x8x6x5/x2/float32/contiguous/cpu")
    assert session.retried(run.measurements[-1], run.settings).reason == session.NOT_YET
    resumed = measure(tmp_path, "raises", "nearest", shape=["8x6x5", "16x6x5"], resume=True)
    assert [(row.status, row.reason) for row in resumed.measurements if row.case.upsampler == "raises"] == lost


def test_nothing_measured_of_what_was_asked_for_is_an_error_and_keeps_the_earlier_run(tmp_path):
    kept = measure(tmp_path, "good")
    nothing = pytest.raises(NothingMeasured, match=r"nothing that was asked.*\nraises, .*: .*this operator has a bug")
    for baseline in ("", "bilinear"):
        with nothing:
            measure(tmp_path, "raises", "raises-too", baseline=baseline)
        assert storage.load(tmp_path) == kept
        assert [path.name for path in tmp_path.iterdir()] == [storage.FILE]


def test_the_baseline_may_be_what_was_asked_for(tmp_path):
    run = measure(tmp_path, "bilinear", "raises", metrics=["params"])
    assert list(reasons(run)) == ["raises"]


def test_a_folder_of_its_own_is_removed_if_nothing_was_measured(tmp_path):
    with pytest.raises(NothingMeasured):
        measure(tmp_path / "new", "raises", metrics=["params"])
    assert not (tmp_path / "new").exists()


def test_readings_are_on_disk_before_the_run_ends(tmp_path):
    seen = []

    class Look(Silence):
        def update(self, message):
            partial = tmp_path / storage.PARTIAL_FILE
            if message.kind == "at" and message.step == "latency" and partial.exists() and 3 not in seen:
                seen.append(len(storage.load(partial).measurements))

    measure(tmp_path, "good", "nearest", listener=Look(), max_time=0.5, target_ci=0.0, **{"min_samples": 10**6})
    assert max(seen) == 3


class SecondGroup(Silence):
    """Does something when the second group begins."""

    groups = 0

    def __init__(self, action):
        self.action = action

    def begin(self, cases, device=""):
        self.groups += 1
        if self.groups == 2:
            self.action()


def test_a_process_that_cannot_start_says_so_and_hints_at_resume_if_something_was_measured(tmp_path, monkeypatch):
    def fail_from_now_on():
        monkeypatch.setattr(sys, "executable", "/bin/false")
        monkeypatch.setattr(pool, "Process", Process)

    with pytest.raises(BenchError, match=r"could not start(.|\n)*--resume continues"):
        measure(tmp_path, "good", listener=SecondGroup(fail_from_now_on), shape=["8x6x5", "8x7x5"])
    assert (tmp_path / "results.partial.json").exists()
    with pytest.raises(BenchError, match="could not start"):
        measure(tmp_path / "new", "good")


def test_two_runs_into_one_folder_are_refused(tmp_path):
    refused = []

    def run_too():
        with pytest.raises(OutputError, match="another run is writing into"):
            measure(tmp_path, "good")
        refused.append(True)

    measure(tmp_path, "good", listener=SecondGroup(run_too), shape=["8x6x5", "8x7x5"])
    assert refused
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_resume_refuses_another_version_of_a_plug_in(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(SOURCE)
    measure(tmp_path / "run", "mine", plugin=str(plugin), metrics=["params"])
    measure(tmp_path / "run", "mine", plugin=str(plugin), metrics=["params"], resume=True)
    plugin.write_text(f"{SOURCE}\n# another version")
    with pytest.raises(PlanError, match="plugins differ"):
        measure(tmp_path / "run", "mine", plugin=str(plugin), metrics=["params"], resume=True)


def test_a_process_that_ends_well_without_a_reading_is_not_started_for_ever(tmp_path):
    run = measure(tmp_path, "untraceable", metrics=["flops", "params"])
    assert reasons(run)["untraceable"] == ("measured", "no flops: RuntimeError: cannot be traced (bad_plugins.py:94)")


def test_what_could_not_be_read_gives_its_reason_once_however_often_it_is_tried(tmp_path):
    keys = {"metrics": ["flops", "params"]}
    measure(tmp_path, "untraceable", listener=InterruptAtLastReading(), **keys)
    run = measure(tmp_path, "untraceable", resume=True, **keys)
    assert reasons(run)["untraceable"] == ("measured", "no flops: RuntimeError: cannot be traced (bad_plugins.py:94)")


class InterruptAtLastReading(Silence):
    """Ctrl-C arrives after an operator said which metric it cannot have, before its row is complete."""

    def update(self, message):
        if message.kind == "incomplete":
            raise KeyboardInterrupt


def test_what_an_earlier_run_was_killed_at_is_not_removed_when_another_measures_nothing(tmp_path):
    earlier = measure(tmp_path, "good", metrics=["params"])
    (tmp_path / storage.FILE).rename(tmp_path / storage.PARTIAL_FILE)
    with pytest.raises(NothingMeasured):
        measure(tmp_path, "raises", metrics=["params"], baseline="")
    assert storage.load(tmp_path) == earlier
