"""Plans of many conditions, measured by processes that answer at once: nothing is lost or measured twice."""

from dataclasses import replace

import pytest
from fake_process import FakeProcess, Silence

from upsampler_bench import plan, report, storage
from upsampler_bench.cluster.merge import merge
from upsampler_bench.device.placement import Placement
from upsampler_bench.report import pictures
from upsampler_bench.runner import pool, scheduler, session

SHARDS = 7
KEYS = {
    "upsampler": ["nearest", "dysample", "carafe"], "shape": [f"16x{8 + place}x8" for place in range(20)],
    "device": "cpu", "metrics": ["latency", "params", "train_latency"], "processes": 1,
}  # fmt: skip


@pytest.fixture
def whole(monkeypatch):
    monkeypatch.setattr(pool, "Process", FakeProcess)
    return scheduler.run(session.prepare(plan.parse(KEYS)), Silence())


def test_shards_merged_hold_every_row_of_one_run_and_the_same_numbers(whole, tmp_path):
    for number in range(1, SHARDS + 1):
        scheduler.run(session.prepare(plan.parse(KEYS), tmp_path / str(number), shard=f"{number}/{SHARDS}"), Silence())
    run, missing = merge({folder: storage.load(folder) for folder in sorted(tmp_path.iterdir())})
    assert missing == ()
    assert len(run.measurements) == len(whole.measurements) == 160
    for measurement in whole.measurements:
        assert run.measurement(measurement.case).readings == measurement.readings


def test_devices_share_the_conditions_and_lose_none(whole):
    ready = session.prepare(plan.parse(KEYS))
    devices = tuple(Placement(f"cuda:{index}") for index in range(8))
    run = scheduler.run(replace(ready, placements=devices), Silence())
    assert [one.case for one in run.measurements] == [one.case for one in whole.measurements]
    assert all(run.ratio(one.case, reading.metric) for one in run.measurements for reading in one.readings[:1])
    for cases in plan.conditions(ready.cases):
        assert len({run.measurement(case).origin for case in cases}) == 1


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_run_keeps_what_its_devices_measured_of_the_same_call(whole, is_resumed):
    control = ({"at": "control", "device": "cuda:0", "value": 1.0},)
    ready = session.prepare(plan.parse(KEYS))
    devices = (Placement("cuda:0"), Placement("cuda:1"))
    ready = replace(ready, placements=devices, control=control, previous=whole if is_resumed else None)
    conditions = scheduler.run(ready, Silence()).environment.conditions
    assert [one for one in conditions if one.get("at") == "control"] == [*control]


def test_a_report_of_many_conditions_draws_some_and_says_how_many(whole):
    content = report.from_run(whole)
    assert len(content.tables) == 20
    assert len([picture for picture in content.pictures if picture.name == "panel"]) == pictures.OF_MORE
    assert ("Pictures", "3 of each kind, of 20 conditions.") in content.facts


def test_the_conditions_of_many_processes_are_printed_as_ranges(whole):
    assert ("Conditions, end", "load_1min 0") in report.from_run(whole).facts
