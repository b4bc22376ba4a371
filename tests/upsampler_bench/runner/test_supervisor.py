"""The measuring process, seen from outside: what it started ends with it, and only its own messages are believed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from fake_process import QUICK, Silence, ThisProcess

from upsampler_bench import plan, storage
from upsampler_bench.runner import pool, scheduler, session

PLUGIN = str(Path(__file__).parents[1] / "bad_plugins.py")
KEYS = {**QUICK, "shape": "8x6x5", "device": "cpu", "metrics": ["params", "latency"], "baseline": ""}

pytestmark = [pytest.mark.usefixtures("bad_operators"), pytest.mark.slow]


def measure(*names, folder=None, listener=None, resume=False, **keys):
    parsed = plan.parse({**KEYS, "upsampler": list(names), "plugin": PLUGIN, **keys})
    return scheduler.run(session.prepare(parsed, folder, resume=resume), listener or Silence())


def reasons(run):
    return {row.case.upsampler: row.reason for row in run.measurements if row.reason}


@pytest.fixture
def children(tmp_path, monkeypatch):
    """The file in which operators write which processes they start, and their own."""
    file = tmp_path / "children"
    monkeypatch.setenv("CHILDREN", str(file))
    return file


def living(file):
    def lives(pid):
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [pid for pid in map(int, file.read_text().split()) if lives(pid)]


def wait_until(condition):
    while not condition():
        time.sleep(0.1)


def test_an_operator_that_ends_stops_or_takes_over_its_process_costs_its_own_row(children, tmp_path):
    bad = ("segfaults", "exits", "forks", "escapes-and-stops", "forges-the-end", "interrupts")
    run = measure(*bad, "escapes", "prints", folder=tmp_path / "run", timeout=8.0)
    lost = reasons(run)
    assert lost.pop("interrupts").endswith(("SIGINT", "with code 1"))  # whichever thread of it ends first
    assert lost == {
        "segfaults": "crashed the process during 'first call': SIGSEGV",
        "exits": "ended the process during 'first call' with code 3",
        "forks": "ended the process during 'first call' with code 7",
        "escapes-and-stops": "timed out: no response for 8 s during 'first call'",
        "forges-the-end": "wrote to the pipe of the measuring process during 'first call'",
    }
    assert {row.status for row in run.measurements if row.case.upsampler in bad} == {"failed"}
    assert all(row.reading("latency").samples for row in run.measurements if row.case.upsampler not in bad)
    assert run.ended == "complete"
    assert storage.load(tmp_path / "run") == run
    assert len(children.read_text().split()) > 2
    assert living(children) == []


def test_a_step_that_takes_all_memory_and_inputs_too_large_to_make_cost_their_own_rows():
    shapes = ["8x6x5", "100000x5000x5000"]
    run = measure("eats-memory", "nearest", shape=shapes, metrics=["params", "latency"], **{"memory_limit": 2**31})
    lost = {(row.case.upsampler, row.case.channels): row.reason for row in run.measurements if row.reason}
    assert set(lost) == {("eats-memory", 8), ("eats-memory", 100000), ("nearest", 100000)}
    assert lost["eats-memory", 8].startswith("out of memory")
    assert lost["nearest", 100000].startswith("out of memory")


def test_an_operator_of_ones_own_script_is_measured_without_a_file_of_its_own(tmp_path):
    script, keys = tmp_path / "mine.py", {**KEYS, "shape": (8, 6, 5), "baseline": "bilinear"}
    script.write_text(
        "import torch, upsamplers, upsampler_bench\n"
        "upsamplers.register_module('mine', lambda c, s: torch.nn.ConvTranspose2d(c, c, s, s))\n"
        f"run = upsampler_bench.run(['mine'], **{keys})\n"
        "frame = upsampler_bench.to_frame(run).query('metric == \"params_weights\"')\n"
        "print(frame.set_index('upsampler').value['mine'])\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == str(8 * 8 * 4.0)


def test_no_process_lives_on_after_its_parent_is_killed(children, tmp_path):
    command = [sys.executable, "-m", "upsampler_bench", "run", "--shape", "8x6x5", "--device", "cpu"]
    command += ["-u", "escapes-and-stops", "--plugin", PLUGIN, "--output-dir", tmp_path / "run"]
    with subprocess.Popen(command) as process:
        wait_until(lambda: children.exists() and len(children.read_text().split()) > 1)
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not living(children))


def test_a_late_crash_costs_its_own_row_alone(monkeypatch):
    monkeypatch.setattr(scheduler, "LINGER_MARGIN", 2.0)
    run = measure("ends-late", "prints", max_time=2.0, target_ci=0.0, **{"min_samples": 10**6})
    assert list(reasons(run)) == ["ends-late"]
    assert "with code 9" in reasons(run)["ends-late"]
    assert run.measurements[-1].reading("latency")


def test_what_was_killed_from_outside_is_measured_on_resume(tmp_path, monkeypatch):
    class Kill(Silence):
        def update(self, message):
            if message.kind == "at" and message.key.startswith("good/") and message.step == "first call":
                for process in psutil.Process().children(recursive=True):
                    if process.parent() != psutil.Process():
                        os.kill(process.pid, signal.SIGKILL)

    run = measure("good", "prints", folder=tmp_path, listener=Kill())
    assert "SIGKILL" in reasons(run)["good"]
    monkeypatch.setattr(pool, "Process", ThisProcess)
    assert reasons(measure("good", "prints", folder=tmp_path, resume=True)) == {}


def test_what_is_lost_again_on_resume_costs_no_other_row(tmp_path):
    class Kill(Silence):
        def update(self, message):
            if message.kind == "at" and message.key.startswith("exits/"):
                for process in psutil.Process().children(recursive=True):
                    os.kill(process.pid, signal.SIGKILL)

    run = measure("exits", "prints", folder=tmp_path, listener=Kill(), processes=1)
    assert "SIGKILL" in reasons(run)["exits"]
    resumed = measure("exits", "prints", folder=tmp_path, resume=True, processes=1)
    assert list(reasons(resumed)) == ["exits"]
    assert next(row for row in resumed.measurements if row.case.upsampler == "prints").reading("latency").samples


SCRIPT = Path(sys.executable).with_name("upsampler-bench")
RUN = "run -u nearest --plugin mine --shape 8x6x5 --device cpu --metrics params --mode inference -f csv"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([SCRIPT, *RUN.split()], id="script"),
        pytest.param(
            [sys.executable, "-m", "upsampler_bench", *RUN.split()], id="module", marks=pytest.mark.exhaustive
        ),
    ],
)
def test_files_of_the_current_folder_do_not_replace_modules(tmp_path, command):
    installed = {"torch", "numpy", "rich", "typer", "click", "msgspec", "psutil", "cloudpickle", "fvcore", "upsamplers"}
    for name in {*sys.stdlib_module_names, *installed}:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')")
    plugin = "import upsamplers\n@upsamplers.register('mine')\nclass Mine(upsamplers.Upsampler): ..."
    (tmp_path / "mine.py").write_text(plugin)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_not_installed_is_not_looked_for_in_the_current_folder(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "not_installed.py").write_text("raise SystemExit('hostile')")
    (there / "mine.py").write_text(
        "import importlib.util, upsamplers\n"
        "@upsamplers.register(f'finds {importlib.util.find_spec(\"not_installed\")}')\n"
        "class Mine(upsamplers.Upsampler): ...\n"
    )
    command = [SCRIPT, "list", "--plugin", "../there/mine.py"]
    listed = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    assert "finds None" in listed.stdout
