"""Operators and seeds in parallel processes: what one of them does costs its own row, what is done is kept."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import upsamplers
from upsampler_bench import plan, storage
from upsampler_bench.quality import scheduler
from upsampler_bench.runner import session

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PLUGIN = str(ROOT / "tests" / "upsampler_bench" / "quality_plugins.py")
TINY = ("--steps", "6", "--size", "16", "-f", "csv")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}


def command(folder, *options):
    return [sys.executable, "-m", "upsampler_bench", "quality", *TINY, *options, "--output-dir", str(folder)]


def quality(folder, *options):
    how = {"cwd": folder.parent, "env": ENVIRONMENT, "text": True, "capture_output": True, "check": False}
    return subprocess.run(command(folder, *options), **how)


def trainings(folder):
    run = storage.load(folder)
    return {(one.case.upsampler, made.task, made.seed): made for one in run.measurements for made in one.trainings}


def test_the_baseline_is_trained_first_then_guided_operators():
    made = session.prepare(plan.parse({**plan.read("quality"), "tasks": ["shapes"], "seeds": 1}))
    names = [job.cases[0].upsampler for job in scheduler._jobs(made, "shapes", made.cases)]
    guided = [upsamplers.get(name).needs_guide for name in names[1:]]
    assert names[0] == "bilinear"
    assert guided == sorted(guided, reverse=True)


def test_a_bad_operator_costs_its_own_row_and_a_plug_in_takes_part(tmp_path):
    names = ("half-a-pixel-off", "raises", "exits")
    chosen = [part for name in names for part in ("-u", name)]
    tasks = ("--task", "signature", "--task", "shapes", "--seeds", "1")
    done = quality(tmp_path / "run", "--plugin", PLUGIN, *chosen, *tasks)
    assert done.returncode == 0, done.stderr
    run = storage.load(tmp_path / "run")
    assert run.ended == "complete"
    failures = {name: made.failure for (name, _, _), made in trainings(tmp_path / "run").items()}
    assert failures["half-a-pixel-off"] == failures["bilinear"] == ""
    assert failures["raises"] == "RuntimeError: planted failure"
    assert failures["exits"] == "ended the process with code 3"
    rows = {one.case.upsampler: one for one in run.measurements}
    assert rows["raises"].status == "failed"
    assert rows["half-a-pixel-off"].reading("ramp_shift").samples == pytest.approx((-0.5,))
    assert {len(scene.image.bytes) for scene in run.scenes} == {16 * 16 * 3}


def test_an_interrupted_run_keeps_what_is_done_and_resume_completes_it(tmp_path):
    folder, options = tmp_path / "run", ("-u", "bilinear", "--seeds", "3", "--task", "shapes")
    how = {"cwd": tmp_path, "env": ENVIRONMENT, "text": True, "stderr": subprocess.PIPE}
    with subprocess.Popen(command(folder, *options), **how) as process:
        for line in process.stderr:
            if line.startswith("[1/"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    before = trainings(folder)
    assert 1 <= len(before) < 3
    done = quality(folder, *options, "--resume")
    assert done.returncode == 0, done.stderr
    after = trainings(folder)
    assert len(after) == 3
    assert [bool(made.predictions) for _, made in sorted(after.items())] == [True, False, False]
    assert all(after[key] == made for key, made in before.items())
    counts = {int(total) for _, total in re.findall(r"^\[(\d+)/(\d+)\]", done.stderr, re.MULTILINE)}
    assert counts == {3 - len(before)}


@pytest.mark.exhaustive
def test_a_training_that_diverges_is_a_reason_and_no_score(tmp_path):
    done = quality(tmp_path / "run", "-u", "bilinear", "--task", "shapes", "--seeds", "1", "--learning-rate", "1e6")
    assert done.returncode == 2
    assert "bilinear: shapes: diverged" in done.stderr
