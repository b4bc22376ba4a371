"""What a plug-in or an operator does to its process costs a command that row, or ends it with a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from upsampler_bench import storage
from upsampler_bench.commands.exit_codes import FAILED, FINE, MISUSE
from upsampler_bench.errors import BenchError
from upsampler_bench.runner import isolated

PLUGIN = Path(__file__).parents[1] / "bad_plugins.py"
EXITS, CRASHES = "ended the process with code 3", "crashed the process: SIGSEGV"
OPERATORS = """
import ctypes, os, sys, time, upsamplers
from torch import nn

def operator(name, build=lambda: None, forward=lambda: None):
    class Own(nn.Upsample):
        def __init__(self, channels, scale):
            super().__init__(scale_factor=scale)
            build()

        def forward(self, x):
            forward()
            return super().forward(x)

    upsamplers.register_module(name, Own)
"""
QUICK = ("--device", "cpu", "--metrics", "params", "--mode", "inference", "-f", "csv")

pytestmark = pytest.mark.usefixtures("registry_restored")


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("capacity", "--memory", "1MiB", "--device", "cpu"),
        ("baseline", "update", "--file", "new.json"),
        ("run", "-u", "nearest", *QUICK),
        ("capabilities", "-u", "nearest", "--device", "cpu"),
        ("compare", "bilinear", "own"),
    ],
    ids=lambda command: command[0],
)
def test_a_plug_in_that_cannot_be_loaded_is_named(invoke, monkeypatch, command):
    def registered(*_, plugins, timeout=7.0):
        raise BenchError(f"cannot load plug-in {plugins[0]!r}: no response for {timeout:g} s")

    monkeypatch.setattr(isolated, "registered", registered)
    limit = () if command[0] == "compare" else ("--timeout", "7")
    code, out, err = invoke(*command, "--plugin", "mine.py", *limit)
    assert (code, out, err) == (MISUSE, "", "error: cannot load plug-in 'mine.py': no response for 7 s\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("import time; time.sleep(3600)", "timed out: no response for 3 s"),
        ("import os; os._exit(3)", EXITS),
        ("import ctypes; ctypes.string_at(0)", CRASHES),
        ("import sys; sys.exit()", "SystemExit"),
    ],
)
def test_a_plug_in_that_ends_or_hangs_its_process_is_named(tmp_path, monkeypatch, fault, reason):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(fault)
    with pytest.raises(BenchError, match=f"^cannot load plug-in 'mine.py': {reason}"):
        isolated.registered(plugins=["mine.py"], timeout=3.0)


@pytest.mark.slow
def test_an_operator_that_ends_or_hangs_its_process_costs_its_own_row(invoke, tmp_path, bad_operators):
    (tmp_path / "builds.py").write_text(
        f"{OPERATORS}\n"
        "operator('hangs-at-once', lambda: time.sleep(3600))\n"
        "operator('exits-at-once', lambda: os._exit(3))\n"
        "operator('crashes-at-once', lambda: ctypes.string_at(0))\n"
        "operator('ends-at-once', lambda: sys.exit())\n"
    )
    code, out, _ = invoke("list", "--plugin", "builds.py", "--timeout", "7")
    assert code == FINE
    assert "hangs-at-once: timed out: no response for 7 s" in out
    assert f"exits-at-once: {EXITS}" in out
    assert f"crashes-at-once: {CRASHES}" in out
    assert "ends-at-once: ended the process with code 0" in out
    assert "590,080" in next(line for line in out.splitlines() if line.startswith("deconv"))
    (tmp_path / "runs.py").write_text(f"{OPERATORS}\noperator('own', forward=lambda: os._exit(3))")
    arguments = ("--memory", "1MiB", "-u", "own", "-u", "nearest", "--device", "cpu", "--plugin", "runs.py")
    code, out, _ = invoke("capacity", *arguments)
    assert code == FINE
    assert f"own, inference: {EXITS}" in out
    assert next(line for line in out.splitlines() if line.startswith("nearest")).split()[1].isdigit()


@pytest.mark.slow
def test_baseline_check_fails_for_operators_that_end_or_hang_their_process(invoke, tmp_path):
    faults = {"ends": "sys.exit()", "exits": "os._exit(0)", "hangs": "time.sleep(3600)"}
    arguments = ("--file", "base.json", *(part for name in faults for part in ("-u", name)), "--plugin", "mine.py")
    (tmp_path / "mine.py").write_text("\n".join([OPERATORS, *(f"operator({name!r})" for name in faults)]))
    assert invoke("baseline", "update", *arguments)[0] == FINE
    bad = (f"operator({name!r}, forward=lambda: {fault})" for name, fault in faults.items())
    (tmp_path / "mine.py").write_text("\n".join([OPERATORS, *bad]))
    code, out, _ = invoke("baseline", "check", *arguments, "--timeout", "7")
    assert code == FAILED
    assert all(f"{name}\n  failed: " in out for name in faults)
    code, _, err = invoke("baseline", "check", "--file", "base.json", "-u", "nearest")
    assert code == MISUSE
    assert "nothing to compare: base.json has none of the operators nearest; record them with" in " ".join(err.split())


@pytest.mark.slow
def test_a_model_of_ones_own_that_ends_its_process_is_named(invoke, tmp_path):
    (tmp_path / "mine.py").write_text("import os; os._exit(3)")
    code, _, err = invoke("run", "--model", "mine.py:build", "-u", "nearest", *QUICK)
    assert (code, err) == (MISUSE, f"error: cannot load model 'mine.py:build': {EXITS}\n")


@pytest.mark.slow
def test_a_plug_in_that_changes_the_working_directory_does_not_move_the_run(invoke, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "first.py").write_text(f"{PLUGIN.read_text()}\nos.chdir('elsewhere')\n")
    (tmp_path / "second.py").write_text(f"{OPERATORS}\noperator('own')")
    plugins = ("--plugin", "first.py", "--plugin", "second.py")
    code, _, err = invoke("run", *QUICK, *plugins, "-u", "own", "-u", "good", "--output-dir", "here")
    assert code == FINE, err
    assert {"own", "good"} <= {row.case.upsampler for row in storage.load(tmp_path / "here").measurements}
    assert not [*(tmp_path / "elsewhere").iterdir()]


@pytest.mark.slow
def test_plug_ins_of_the_current_folder_are_found_by_module_and_file_and_do_not_write_into_the_output(tmp_path):
    (tmp_path / "inside").mkdir()
    plugins = {"first": "first.py", "second.py": "second.py", "inside.third": "inside/third.py"}
    command = [Path(sys.executable).with_name("upsampler-bench"), "run", *QUICK]
    for name, (plugin, file) in zip(("one", "two", "three"), plugins.items(), strict=True):
        (tmp_path / file).write_text(f"{OPERATORS}\noperator({name!r})\nimport atexit; atexit.register(print, 'bye')")
        command += ["--plugin", plugin, "-u", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == FINE, done.stderr
    assert "bye" not in done.stdout + done.stderr
    (run,) = (storage.load(folder) for folder in (tmp_path / "runs").iterdir())
    assert [stored.split()[0] for stored in run.plan["plugins"]] == [*plugins]
    assert {"one", "two", "three"} <= {row.case.upsampler for row in run.measurements}
