"""Two cores as two devices, and shards: every condition once, each on one device."""

import os
from pathlib import Path

import pytest
from fake_process import QUICK, Silence

from upsampler_bench import plan, storage
from upsampler_bench.cluster.merge import merge
from upsampler_bench.errors import PlanError
from upsampler_bench.runner import control, scheduler, session

PLUGIN = str(Path(__file__).parents[1] / "bad_plugins.py")
KEYS = {**QUICK, "upsampler": ["nearest"], "shape": ["8x6x5", "8x8x5", "8x8x8"], "metrics": ["params", "latency"]}
ALLOWED = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
DEVICES = ",".join(f"cpu:{core}" for core in ALLOWED[:2])
pytestmark = [pytest.mark.usefixtures("bad_operators"), pytest.mark.skipif(len(ALLOWED) < 2, reason="needs two cores")]


class Recorder(Silence):
    """Keeps which device began what, and may press Ctrl-C."""

    def __init__(self, interrupt=False):
        self.begun, self.interrupt = [], interrupt

    def begin(self, cases, device=""):
        self.begun.append((device, cases[0].height * cases[0].width))

    def update(self, message):
        if self.interrupt and message.kind == "at" and (message.facts or {}).get("samples", 0) > 3:
            self.interrupt = False
            raise KeyboardInterrupt


def prepare(folder, resume=False, shard="", devices=DEVICES, **keys):
    parsed = plan.parse({**KEYS, **keys})
    return session.prepare(parsed, folder, resume=resume, shard=shard, devices=devices)


@pytest.mark.slow
def test_two_devices_measure_each_condition_once_each_row_names_its_device_and_a_crash_costs_one_row(tmp_path):
    listener = Recorder()
    keys = {"upsampler": ["segfaults", "prints"], "baseline": "prints", "plugin": PLUGIN}
    run = scheduler.run(prepare(tmp_path, device="cpu", **keys), listener)
    assert run.ended == "complete"
    assert sorted(size for _, size in listener.begun) == [30, 40, 64]
    assert {device for device, _ in listener.begun} == {*DEVICES.split(",")}
    on = dict(map(reversed, listener.begun))
    for measurement in run.measurements:
        is_lost = measurement.case.upsampler == "segfaults"
        assert measurement.status == ("failed" if is_lost else "measured")
        assert (run.ratio(measurement.case, "latency") is None) == is_lost
        assert measurement.case.device == "cpu"
        if not is_lost:
            assert measurement.origin.device == on[measurement.case.height * measurement.case.width]
    assert storage.load(tmp_path) == run


def test_ctrl_c_on_two_devices_keeps_what_both_have_and_resume_completes_it(tmp_path, here):
    keys = {"target_ci": 0.0, "min_samples": 10**6, "max_time": 1.0}
    interrupted = scheduler.run(prepare(tmp_path, **keys), Recorder(interrupt=True))
    assert interrupted.ended == "interrupted"
    assert any(one.reading("latency") for one in storage.load(tmp_path).measurements)
    run = scheduler.run(prepare(tmp_path, resume=True, **keys), Recorder())
    assert run.ended == "complete"
    assert all(run.ratio(one.case, "latency") for one in run.measurements)


@pytest.mark.slow
def test_the_control_is_timed_on_every_device():
    measured = control.measure(prepare(None))
    assert {*measured.times} == {*DEVICES.split(",")}
    assert measured.case.upsampler == "bilinear"
    assert all(time.is_bounded for time in measured.times.values())


def test_resume_on_the_merged_folder_measures_what_is_missing(tmp_path, here):
    first = scheduler.run(prepare(tmp_path / "1", shard="1/2", devices="", device="cpu"), Recorder())
    merged, (missing,) = merge({tmp_path / "1": first})
    storage.save(merged, tmp_path / "all")
    listener = Recorder()
    run = scheduler.run(prepare(tmp_path / "all", resume=True, devices="", device="cpu"), listener)
    assert len(missing.conditions) == 1
    assert [size for _, size in listener.begun][1:2] == [40]
    assert run.ended == "complete"
    assert len(run.measurements) == 6
    kept = {one.case: one for one in run.measurements}
    assert all(kept[one.case] == one for one in first.measurements)


def test_a_shard_is_not_resumed_as_another_and_begins_with_resume_too(tmp_path, here):
    ready = prepare(tmp_path, resume=True, shard="1/3", devices="", device="cpu")
    assert ready.previous is None
    scheduler.run(ready, Recorder())
    for other in ("2/3", ""):
        with pytest.raises(PlanError, match="shard differ"):
            prepare(tmp_path, resume=True, shard=other, devices="", device="cpu")


def test_a_shard_beyond_the_conditions_is_empty():
    assert prepare(None, shard="4/4", devices="", device="cpu").cases == ()


def test_devices_are_refused_beside_another_device_and_more_threads_than_a_core_runs():
    with pytest.raises(PlanError, match="--device is cuda"):
        prepare(None, device="cuda")
    with pytest.raises(PlanError, match="threads is 4"):
        prepare(None, threads=4)
