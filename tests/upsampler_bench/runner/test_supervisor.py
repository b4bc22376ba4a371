"""The measuring process, seen from outside: what it started ends with it, and only its own messages are believed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from upsampler_bench import plan
from upsampler_bench.errors import BenchError, NothingMeasured, OutputError, PlanError
from upsampler_bench.runner import scheduler, session

PLUGIN = str(Path(__file__).parents[1] / "bad_plugins.py")
QUICK = {
    "shape": "8x6x5", "mode": "inference", "device": "cpu", "max_time": 0.1, "warmup-calls": 1, "warmup-seconds": 0.0,
    "min-samples": 6, "metrics": ["params", "latency"],
}  # fmt: skip

pytestmark = [pytest.mark.usefixtures("registry_restored"), pytest.mark.slow]


class Silence:
    def begin(self, cases, device=""): ...

    def update(self, message): ...

    def lost(self, case, reason): ...


def measure(*names, folder=None, listener=None, **keys):
    parsed = plan.parse({**QUICK, "upsampler": list(names), "plugin": PLUGIN, **keys})
    return scheduler.run(session.prepare(parsed, folder), listener or Silence())


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
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    return [pid for pid in map(int, file.read_text().split()) if lives(pid)]


def wait_until(condition):
    while not condition():
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["escapes", "escapes-and-stops"])
def test_no_process_of_an_operator_lives_on(children, name):
    with contextlib.suppress(NothingMeasured):  # a busy machine may take so long for any step
        measure(name, "good", timeout=4.0)
    assert len(children.read_text().split()) > 1
    assert living(children) == []


@pytest.mark.parametrize("name", ["escapes-and-stops"])
def test_no_process_lives_on_after_its_parent_is_killed(children, name, tmp_path):
    command = [sys.executable, "-m", "upsampler_bench", "run", "--shape", "8x6x5", "--device", "cpu", "-u", name]
    with subprocess.Popen([*command, "--plugin", PLUGIN, "--output-dir", tmp_path / "run"]) as process:
        wait_until(lambda: children.exists() and len(children.read_text().split()) > 1)
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not living(children))


def test_a_forged_message_is_not_believed_and_costs_its_own_row():
    run = measure("forges-the-end", "good")
    lost = reasons(run)
    assert lost == {"forges-the-end": "wrote to the pipe of the measuring process during 'first call'"}
    assert all(row.reading("latency") for row in run.measurements if row.case.upsampler != "forges-the-end")


def test_an_operator_that_interrupts_its_process_loses_its_own_row():
    run = measure("interrupts", "good")
    assert run.ended == "complete"
    assert reasons(run) == {"interrupts": "ended the process during 'first call' with code 1"}
    assert all(row.reading("latency") for row in run.measurements if row.case.upsampler != "interrupts")


def test_a_late_crash_costs_its_own_row_alone():
    run = measure("ends-late", "good", "nearest", max_time=2.0, target_ci=0.0, **{"min-samples": 10**6})
    assert list(reasons(run)) == ["ends-late"]
    assert "with code 9" in reasons(run)["ends-late"]
    for row in run.measurements:
        if row.case.upsampler != "ends-late":
            assert run.ratio(row.case, "latency") is not None


def test_two_runs_into_one_folder_are_refused(tmp_path):
    refused = []

    class Second(Silence):
        def begin(self, cases, device=""):
            with pytest.raises(OutputError, match="another run is writing into"):
                measure("good", folder=tmp_path)
            refused.append(True)

    measure("good", folder=tmp_path, listener=Second())
    assert refused
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_process_that_cannot_start_later_on_hints_at_resume(tmp_path, monkeypatch):
    class Break(Silence):
        groups = 0

        def begin(self, cases, device=""):
            self.groups += 1
            if self.groups == 2:
                monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(BenchError, match=r"could not start(.|\n)*--resume continues"):
        measure("good", folder=tmp_path, listener=Break(), shape=["8x6x5", "8x7x5"])
    assert (tmp_path / "results.partial.json").exists()


def test_what_was_killed_from_outside_is_measured_on_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "LINGER_MARGIN", 0.0)  # no case alone ends a process, however long it lives

    class Kill(Silence):
        def update(self, message):
            if message.kind == "at" and message.key.startswith("good/") and message.step == "first call":
                for process in psutil.Process().children(recursive=True):
                    if process.parent() != psutil.Process():
                        os.kill(process.pid, signal.SIGKILL)

    run = measure("good", "nearest", folder=tmp_path, listener=Kill(), baseline="")
    assert "SIGKILL" in reasons(run)["good"]
    parsed = plan.parse({**QUICK, "upsampler": ["good", "nearest"], "plugin": PLUGIN, "baseline": ""})
    again = scheduler.run(session.prepare(parsed, tmp_path, resume=True), Silence())
    assert reasons(again) == {}


def test_resume_refuses_another_version_of_a_plug_in(tmp_path):
    plugin = tmp_path / "mine.py"
    source = Path(PLUGIN).read_text()
    plugin.write_text(source)
    parsed = plan.parse({**QUICK, "upsampler": ["good"], "plugin": str(plugin), "metrics": ["params"]})
    scheduler.run(session.prepare(parsed, tmp_path / "run"), Silence())
    session.prepare(parsed, tmp_path / "run", resume=True)
    plugin.write_text(f"{source}\n# another version")
    with pytest.raises(PlanError, match="plugins differ"):
        session.prepare(parsed, tmp_path / "run", resume=True)


# Before 3.11, `python -m` itself imports some from the current folder.
STANDARD = sys.stdlib_module_names if sys.version_info >= (3, 11) else {"random", "json", "statistics", "typing"}
SCRIPT = Path(sys.executable).with_name("upsampler-bench")


@pytest.mark.parametrize("command", [[SCRIPT], [sys.executable, "-m", "upsampler_bench"]], ids=["script", "module"])
@pytest.mark.parametrize("plugins", [[], ["--plugin", "mine"]], ids=["alone", "with a plug-in"])
def test_files_of_the_current_folder_do_not_replace_modules(tmp_path, command, plugins):
    installed = {"torch", "numpy", "rich", "typer", "click", "msgspec", "psutil", "cloudpickle", "fvcore", "upsamplers"}
    for name in {*STANDARD, *installed}:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')")
    (tmp_path / "mine.py").write_text(
        "import upsamplers\n@upsamplers.register('mine')\nclass Mine(upsamplers.Upsampler): ..."
    )
    arguments = [
        "run",
        "--shape",
        "8x6x5",
        "--device",
        "cpu",
        "--metrics",
        "params",
        "--mode",
        "inference",
        "-f",
        "csv",
    ]
    done = subprocess.run(
        [*command, *arguments, "-u", "nearest", *plugins], cwd=tmp_path, capture_output=True, text=True, check=False
    )
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
