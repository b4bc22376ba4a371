"""What a plug-in or an operator does to its process costs a command that row, or ends it with a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from upsampler_bench import storage
from upsampler_bench.commands.exit_codes import FAILED, FINE, MISUSE

PLUGIN = Path(__file__).parents[1] / "bad_plugins.py"
LIMIT = ("--timeout", "10")
HANGS, EXITS = "timed out: no response for 10 s", "ended the process with code 3"
FAULTS = {
    "import time; time.sleep(3600)": HANGS,
    "import os; os._exit(3)": EXITS,
    "import ctypes; ctypes.string_at(0)": "crashed the process: SIGSEGV",
    "import sys; sys.exit()": "SystemExit",
}
OPERATOR = """
import ctypes, os, sys, time, upsamplers
from torch import nn

class Own(nn.Upsample):
    def __init__(self, channels, scale):
        super().__init__(scale_factor=scale)
        {build}

    def forward(self, x):
        {forward}
        return super().forward(x)

upsamplers.register_module("own", Own)
"""
QUICK = ("--device", "cpu", "--metrics", "params", "-f", "csv")

pytestmark = [pytest.mark.usefixtures("registry_restored"), pytest.mark.slow]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("capacity", "--memory", "1MiB", "--device", "cpu"),
        ("baseline", "update", "--file", "new.json"),
        ("run", "-u", "nearest", *QUICK),
        ("capabilities", "-u", "nearest", "--device", "cpu"),
    ],
    ids=lambda command: command[0],
)
def test_a_plug_in_that_ends_or_hangs_its_process_is_named(invoke, tmp_path, command, fault):
    (tmp_path / "mine.py").write_text(fault)
    code, out, err = invoke(*command, "--plugin", "mine.py", *LIMIT)
    assert (code, out) == (MISUSE, "")
    assert " ".join(err.split()).startswith(f"error: cannot load plug-in 'mine.py': {FAULTS[fault]}")


def test_compare_names_such_a_plug_in(invoke, tmp_path):
    (tmp_path / "mine.py").write_text("import os; os._exit(3)")
    code, _, err = invoke("compare", "bilinear", "own", "--plugin", "mine.py")
    assert (code, err) == (MISUSE, f"error: cannot load plug-in 'mine.py': {EXITS}\n")


def test_an_operator_whose_constructor_hangs_costs_its_own_row(invoke, tmp_path):
    (tmp_path / "mine.py").write_text(OPERATOR.format(build="time.sleep(3600)", forward="pass"))
    code, out, _ = invoke("list", "--plugin", "mine.py", *LIMIT)
    assert code == FINE
    assert f"own: {HANGS}" in out


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("os._exit(3)", EXITS),
        ("ctypes.string_at(0)", "crashed the process: SIGSEGV"),
        ("sys.exit()", "ended the process with code 0"),
    ],
)
def test_an_operator_that_ends_its_process_costs_its_own_row(invoke, tmp_path, body, reason):
    (tmp_path / "builds.py").write_text(OPERATOR.format(build=body, forward="pass"))
    code, out, _ = invoke("list", "--plugin", "builds.py")
    assert code == FINE
    assert f"own: {reason}" in out
    assert "590,080" in next(line for line in out.splitlines() if line.startswith("deconv"))
    (tmp_path / "runs.py").write_text(OPERATOR.format(build="pass", forward=body))
    arguments = ("--memory", "1MiB", "-u", "own", "-u", "nearest", "--device", "cpu", "--plugin", "runs.py")
    code, out, _ = invoke("capacity", *arguments)
    assert code == FINE
    assert f"own, inference: {reason}" in out
    assert next(line for line in out.splitlines() if line.startswith("nearest")).split()[1].isdigit()


@pytest.mark.parametrize("body", ["sys.exit()", "os._exit(0)", "time.sleep(3600)"])
def test_baseline_check_fails_for_an_operator_that_ends_or_hangs_its_process(invoke, tmp_path, body):
    arguments = ("--file", "base.json", "-u", "own", "-u", "nearest", "--plugin", "mine.py")
    (tmp_path / "mine.py").write_text(OPERATOR.format(build="pass", forward="pass"))
    assert invoke("baseline", "update", *arguments)[0] == FINE
    (tmp_path / "mine.py").write_text(OPERATOR.format(build="pass", forward=body))
    code, out, _ = invoke("baseline", "check", *arguments, *LIMIT)
    assert code == FAILED
    assert out.startswith("own\n  failed: ")


def test_baseline_check_that_compared_nothing_is_misuse(invoke):
    assert invoke("baseline", "update", "--file", "base.json", "-u", "bilinear")[0] == FINE
    code, _, err = invoke("baseline", "check", "--file", "base.json", "-u", "nearest")
    assert code == MISUSE
    assert "nothing was compared: base.json has none of nearest; record them with" in " ".join(err.split())


def test_a_model_of_ones_own_that_ends_its_process_is_named(invoke, tmp_path):
    (tmp_path / "mine.py").write_text("import os; os._exit(3)")
    code, _, err = invoke("run", "--model", "mine.py:build", "-u", "nearest", *QUICK)
    assert (code, err) == (MISUSE, f"error: cannot load model 'mine.py:build': {EXITS}\n")


def test_an_operator_may_not_eat_all_memory(invoke, tmp_path):
    small = "\nfrom upsampler_bench.device import quota\nquota.available_memory = lambda: 2**31\n"
    (tmp_path / "mine.py").write_text(PLUGIN.read_text() + small)
    code, _, err = invoke("baseline", "update", "--file", "new.json", "-u", "eats-memory", "--plugin", "mine.py")
    assert code == FAILED
    assert "eats-memory was not recorded: out of memory" in " ".join(err.split())


def test_a_plug_in_that_changes_the_working_directory_does_not_move_the_run(invoke, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    source = PLUGIN.read_text()
    (tmp_path / "first.py").write_text(f"{source}\nos.chdir('elsewhere')\n")
    (tmp_path / "second.py").write_text(OPERATOR.format(build="pass", forward="pass"))
    plugins = ("--plugin", "first.py", "--plugin", "second.py")
    code, _, err = invoke("run", *QUICK, *plugins, "-u", "own", "-u", "good", "--output-dir", "here")
    assert code == FINE, err
    assert {"own", "good"} <= {row.case.upsampler for row in storage.load(tmp_path / "here").measurements}
    assert not [*(tmp_path / "elsewhere").iterdir()]


@pytest.mark.parametrize("plugin", ["mine", "mine.py", "inside.mine"])
def test_a_plug_in_of_the_current_folder_is_found_by_its_module_and_by_its_file(tmp_path, plugin):
    (tmp_path / "inside").mkdir()
    for folder in (tmp_path, tmp_path / "inside"):
        (folder / "mine.py").write_text(OPERATOR.format(build="pass", forward="pass"))
    command = [Path(sys.executable).with_name("upsampler-bench"), "run", "--plugin", plugin, "-u", "own", *QUICK]
    done = subprocess.run([*command, "--mode", "inference"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == FINE, done.stderr
    (run,) = (storage.load(folder) for folder in (tmp_path / "runs").iterdir())
    assert run.plan["plugins"][0].startswith(f"{plugin} ")


def test_a_plug_in_that_prints_at_exit_does_not_write_into_the_output(invoke, tmp_path):
    (tmp_path / "mine.py").write_text(
        OPERATOR.format(build="pass", forward="pass") + "import atexit; atexit.register(print, 'bye')"
    )
    done = subprocess.run(
        [sys.executable, "-m", "upsampler_bench", "capacity", "--memory", "1MiB", "-u", "own", "--plugin", "mine.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == FINE, done.stderr
    assert "bye" not in done.stdout + done.stderr
