"""Collecting jobs: added, measured again if incomplete, and what is measured in each kind."""

import json
import subprocess
import sys

import pytest

from studies.compare_rule import collect
from studies.compare_rule.data import PROCESSES
from upsampler_bench.compare.samples import Sample, Timing
from upsampler_bench.errors import PlanError


@pytest.fixture
def processes(monkeypatch):
    """The operators and the seed of every process that would have been started."""
    started = []

    def measure(cases, side, name, how):
        started.append(([case.upsampler for case in cases], how.seed))
        return Sample(name, {case.key: Timing((1e-3, 2e-3), 9e-4) for case in cases})

    monkeypatch.setattr(collect, "measure", measure)
    monkeypatch.setattr(collect, "_calibrated", lambda: [("carafe", "carafe~5", 16, 2)])
    monkeypatch.setattr(collect, "_corrected", lambda slowed: slowed)
    return started


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_job_is_sixteen_processes_and_the_next_call_adds_more(tmp_path, processes, capsys):
    assert collect.collect(tmp_path, 1, "quiet") == 1
    assert collect.collect(tmp_path, 1, "quiet") == 2
    assert [line["job"] for line in lines(tmp_path / "points-quiet.jsonl")] == [0] * PROCESSES + [1] * PROCESSES
    assert [seed for _, seed in processes] == list(range(2 * PROCESSES))
    assert {"carafe", "carafe~3", "dysample-s+~20"} <= set(processes[0][0])
    assert len(capsys.readouterr().err.splitlines()) == 2 * PROCESSES


def test_the_same_kind_measures_every_operator_as_it_is(tmp_path, processes):
    collect.collect(tmp_path, 1, "quiet", same=True)
    assert set(processes[0][0]) > set(collect.OPERATORS)
    assert not any("~" in name for names, _ in processes for name in names)
    assert len(lines(tmp_path / "same-quiet.jsonl")) == PROCESSES
    assert not (tmp_path / "points-quiet.jsonl").exists()


def test_an_incomplete_job_is_measured_again(tmp_path, processes):
    collect.collect(tmp_path, 1, "quiet")
    target = tmp_path / "points-quiet.jsonl"
    target.write_text(target.read_text() + '{"job": 1}\n')
    assert collect.collect(tmp_path, 1, "quiet") == 2
    assert len(lines(target)) == 2 * PROCESSES


def test_jobs_of_another_setup_are_refused(tmp_path, processes):
    collect.collect(tmp_path, 1, "quiet")
    setup = json.loads((tmp_path / "setup.json").read_text())
    (tmp_path / "setup.json").write_text(json.dumps({**setup, "percents": [1]}))
    with pytest.raises(PlanError, match="percents differ"):
        collect.collect(tmp_path, 1, "quiet")


@pytest.mark.slow
def test_the_neighbour_ends_with_its_parent():
    child = subprocess.Popen([sys.executable, "-m", "studies.compare_rule.neighbour", "1"], stdin=subprocess.PIPE)
    child.stdin.close()
    assert child.wait(timeout=60) == 0
