"""Collecting a study: jobs that are added, those that were cut short, and what is measured in each kind."""

import json
import subprocess
import sys

import pytest

from studies.compare_rule import collect
from studies.compare_rule.lines import PROCESSES
from upsampler_bench.compare.samples import Point, Timing
from upsampler_bench.errors import PlanError


@pytest.fixture
def asked(monkeypatch):
    """The names and seeds of every process that would have been started."""
    found = []

    def measure(cases, corner, arm, how):
        found.append(([case.upsampler for case in cases], how.seed))
        timing = Timing((1e-3, 2e-3), (5e-4, 5e-4), 9e-4)
        return Point(arm, {case.key: timing for case in cases})

    monkeypatch.setattr(collect, "measure", measure)
    monkeypatch.setattr(collect, "_calibrated", lambda: [("carafe", "carafe~5", 16, 2)])
    monkeypatch.setattr(collect, "_corrected", lambda slowed: slowed)
    return found


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_job_is_sixteen_processes_and_the_next_call_adds_more(tmp_path, asked):
    said = []
    assert collect.collect(tmp_path, 1, "quiet", said.append) == 1
    assert collect.collect(tmp_path, 1, "quiet", said.append) == 2
    found = lines(tmp_path / "points-quiet.jsonl")
    assert [one["job"] for one in found] == [0] * PROCESSES + [1] * PROCESSES
    assert [seed for _, seed in asked] == list(range(2 * PROCESSES))
    assert {"carafe", "carafe~3", "dysample-s+~20"} <= set(asked[0][0])
    assert len(said) == 2 * PROCESSES


def test_the_same_kind_measures_every_operator_as_it_is(tmp_path, asked):
    collect.collect(tmp_path, 1, "quiet", str, same=True)
    assert set(asked[0][0]) > set(collect.OPERATORS)
    assert not any("~" in name for names, _ in asked for name in names)
    assert len(lines(tmp_path / "same-quiet.jsonl")) == PROCESSES
    assert not (tmp_path / "points-quiet.jsonl").exists()


def test_what_was_cut_short_is_measured_again(tmp_path, asked):
    collect.collect(tmp_path, 1, "quiet", str)
    target = tmp_path / "points-quiet.jsonl"
    target.write_text(target.read_text() + '{"job": 1}\n')
    assert collect.collect(tmp_path, 1, "quiet", str) == 2
    assert len(lines(target)) == 2 * PROCESSES


def test_a_study_of_something_else_is_not_added_to(tmp_path, asked):
    collect.collect(tmp_path, 1, "quiet", str)
    setup = json.loads((tmp_path / "setup.json").read_text())
    (tmp_path / "setup.json").write_text(json.dumps({**setup, "percents": [1]}))
    with pytest.raises(PlanError, match="percents differ"):
        collect.collect(tmp_path, 1, "quiet", str)


def test_the_neighbour_ends_with_its_parent():
    child = subprocess.Popen([sys.executable, "-m", "studies.compare_rule.neighbour", "1"], stdin=subprocess.PIPE)
    child.stdin.close()
    assert child.wait(timeout=60) == 0
