"""Shards as jobs: what is submitted, refused and known of them; measured by submitit's own executors."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from upsampler_bench import storage
from upsampler_bench.cluster import jobs
from upsampler_bench.errors import PlanError, ResultsError
from upsampler_bench.results import COMPLETE

OPTIONS = [
    "-u", "nearest", "--shape", "8x6x5", "--shape", "8x8x5", "--mode", "inference", "--device", "cpu",
    "--metrics", "params",
]  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "options", "why"),
    [
        ("lsf", [], "no engine 'lsf'; expected slurm, local, debug"),
        ("local", [], "has no queue and hides GPUs; use 'run --devices all'"),
        ("local", ["--device", "cuda"], "has no queue and hides GPUs"),
        ("slurm", ["--shard=1/2", "--resume"], "--resume, --shard: submit sets this"),
    ],
)
def test_what_an_engine_cannot_do_well_is_refused(engine, options, why):
    with pytest.raises(PlanError, match=why):
        jobs.check(engine, 2, options)


def test_local_starts_no_more_shards_than_there_are_cores(monkeypatch):
    monkeypatch.setattr(jobs, "_cores", lambda: [0, 1])
    jobs.check("local", 2, ["--device=cpu"])
    with pytest.raises(PlanError, match="3 shards on 2 cores"):
        jobs.check("local", 3, ["--device", "cpu"])


def test_states_are_slurms_words_with_what_a_job_waits_for(monkeypatch):
    outputs = {
        "squeue": "7_0|RUNNING|None\n7_1|PENDING|PartitionTimeLimit\n",
        "sacct": "7_0|PENDING\n7_2|CANCELLED by 0\n7_2.batch|CANCELLED\n7_4|PREEMPTED\n",
    }
    monkeypatch.setattr(jobs, "_output", lambda command: outputs[command[0]])
    submitted = jobs.Jobs("slurm", ("7_0", "7_1", "7_2", "7_3", "7_4"), ())
    states = jobs.states(submitted, Path())
    assert states["7_0"] == jobs.State("RUNNING")
    assert states["7_1"] == jobs.State("PENDING", "PartitionTimeLimit")
    assert states["7_2"] == jobs.State("CANCELLED", "by 0")
    assert states["7_3"] == jobs.State("ENDED")
    assert [state.is_under_way for state in states.values()] == [True, True, False, False, False]


def test_waiting_shows_each_change_once(monkeypatch):
    answers = iter([{"1": jobs.State("RUNNING")}, {"1": jobs.State("RUNNING")}, {"1": jobs.State("COMPLETED")}])
    monkeypatch.setattr(jobs, "states", lambda *_: next(answers))
    shown = []
    assert jobs.wait(jobs.Jobs("slurm", ("1",), ()), Path(), 0.0, shown.append) == {"1": jobs.State("COMPLETED")}
    assert [states["1"].name for states in shown] == ["RUNNING", "COMPLETED"]


def test_a_folder_without_jobs_says_which_command_submits(tmp_path):
    with pytest.raises(ResultsError, match="'upsampler-bench submit' writes one"):
        jobs.load(tmp_path)


@pytest.mark.slow
def test_a_body_ends_as_its_command_ended_and_asks_to_be_run_again_when_its_time_is_over(tmp_path):
    pytest.importorskip("submitit", reason="needs submitit: pip install 'upsampler-bench[cluster]'")
    assert jobs.Shard([sys.executable, "-c", ""], "local")() == 0
    with pytest.raises(SystemExit, match="3"):
        jobs.Shard([sys.executable, "-c", "raise SystemExit(3)"], "local")()
    kept = tmp_path / "kept"
    code = (
        f"import pathlib, signal, time\nkept = pathlib.Path({str(kept)!r})\nkept.write_text('begun')\n"
        "try:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    kept.write_text('kept')"
    )
    body, again = jobs.Shard([sys.executable, "-c", code], "slurm"), []

    def announce(*_):
        again.append(body.checkpoint())
        raise TimeoutError

    def wait_and_signal():
        while not kept.exists() or kept.read_text() != "begun":
            time.sleep(0.05)
        os.kill(body._child.pid, signal.SIGUSR2)  # is for submitit alone
        os.kill(os.getpid(), signal.SIGUSR2)

    before = signal.signal(signal.SIGUSR2, announce)
    threading.Thread(target=wait_and_signal).start()
    with pytest.raises(TimeoutError):
        body()
    signal.signal(signal.SIGUSR2, before)
    assert kept.read_text() == "kept"
    assert again[0].function._command == body._command


@pytest.mark.slow
@pytest.mark.parametrize("engine", [pytest.param("debug", marks=pytest.mark.exhaustive), "local"])
def test_submitted_shards_are_measured_collected_and_reported_and_a_lost_one_is_named(invoke, tmp_path, engine):
    pytest.importorskip("submitit", reason="needs submitit: pip install 'upsampler-bench[cluster]'")
    arguments = ["--shards", 2, "--engine", engine, "--output-dir", "jobs", "--", *OPTIONS]
    code, _, err = invoke("submit", "smoke", *arguments)
    assert code == 0, err
    assert "Submitted 2 shards of smoke" in err
    code, out, err = invoke("collect", "jobs", "--poll", 0.2, "-f", "csv")
    assert code == 0, err
    assert "nearest" in out
    run = storage.load(tmp_path / "jobs")
    assert run.ended == COMPLETE
    assert len(run.measurements) == 4
    code, out, _ = invoke("status", "jobs")
    assert out.count("1 of 1 conditions") == 2
    (tmp_path / "jobs" / "shard-2" / storage.FILE).unlink()
    code, _, err = invoke("collect", "jobs", "--poll", 0.2, "-f", "csv")
    assert code == 1
    assert "Incomplete, shard 2/2: there is no run of it\n  1x8x8x5/x2/float32/contiguous/cpu/inference" in err
