"""How commands end: never with the code of a result by accident, and never without a word."""

import os
import shutil
import signal
import subprocess
import sys
from importlib import metadata

import pytest
from sample_run import sample_run

from upsampler_bench import storage
from upsampler_bench.commands.exit_codes import FINE, INTERNAL, INTERRUPTED, MISUSE

COMMAND = [sys.executable, "-m", "upsampler_bench"]


def run(*arguments, **environment):
    """A command in a process of its own: exit code, standard output, standard error."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, env={**os.environ, **environment}, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


@pytest.fixture
def stored(tmp_path):
    storage.save(sample_run(), tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("problem", "code", "words"),
    [
        (RuntimeError("a bug"), INTERNAL, "This is a bug in upsampler-bench; please report it."),
        (RecursionError(), INTERNAL, "This is a bug"),
        (EOFError("a bug"), INTERNAL, "This is a bug"),
        (OSError(28, "No space left on device", "here"), MISUSE, "error: here: No space left on device\n"),
        (ModuleNotFoundError(name="pandas"), MISUSE, "error: the package pandas is not installed: pip install pandas"),
        (ModuleNotFoundError(name="upsampler_bench.lost"), INTERNAL, "This is a bug"),
        (SystemExit(1), MISUSE, "error: an operator or a plug-in ended the command by sys.exit()\n"),
        (SystemExit(0), MISUSE, "error: an operator or a plug-in ended the command by sys.exit()\n"),
        (KeyboardInterrupt(), INTERRUPTED, "Interrupted.\n"),
        (KeyboardInterrupt("before the first reading"), INTERRUPTED, "Interrupted before the first reading.\n"),
    ],
    ids=repr,
)
def test_no_error_ends_with_the_code_of_a_result(invoke, monkeypatch, problem, code, words):
    def fail(path):
        raise problem

    monkeypatch.setattr("upsampler_bench.storage.load", fail)
    ended, _, error = invoke("report", "here")
    assert ended == code
    assert words in error


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"MPLBACKEND": "nonsense", "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONWARNINGS": "error"},
        pytest.param({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, marks=pytest.mark.exhaustive),
    ],
    ids=str,
)
def test_a_report_is_written_in_any_environment(stored, environment):
    code, _, error = run("report", stored, "-f", "png", **environment)
    assert (code, (stored / "panel.png").exists()) == (0, True), error


@pytest.mark.slow
def test_operators_are_measured_where_warnings_are_errors(tmp_path):
    arguments = ("-u", "nearest", "--shape", "8x6x5", "--device", "cpu", "--metrics", "params", "-f", "csv")
    code, _, error = run("run", *arguments, "--output-dir", tmp_path / "here", PYTHONWARNINGS="error")
    assert (code, (tmp_path / "here" / "report.csv").exists()) == (FINE, True), error


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 KiB with 20 KiB left."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("cannot mount a tmpfs")
    (folder / "other").write_bytes(bytes(44 * 1024))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_measured(full_disk):
    arguments = ["-u", "nearest", "-u", "dysample*", "-u", "carafe", "--shape", "8x6x5", "--device", "cpu", "-f", "csv"]
    for metric in ("params", "flops", "memory", "traffic", "train_memory"):
        arguments += ["--metrics", metric]
    code, _, error = run("run", *arguments, "--output-dir", full_disk / "run")
    assert code == MISUSE
    assert "No space left on device" in error
    assert "the same command with --resume continues." in " ".join(error.split())
    assert storage.load(full_disk / "run").measurements


def test_the_version_is_printed(invoke):
    assert invoke("--version") == (FINE, f"upsampler-bench {metadata.version('upsampler-bench')}\n", "")


@pytest.mark.slow
def test_help_is_printed_in_ascii():
    assert run("--help", PYTHONIOENCODING="ascii", LC_ALL="C")[0] == 0


@pytest.mark.slow
def test_a_closed_output_is_not_a_regression(stored):
    with subprocess.Popen([*COMMAND, "report", stored, "-f", "csv"], stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.wait() == MISUSE


@pytest.mark.slow
def test_ctrl_c_before_the_first_reading_says_so(tmp_path):
    command = [*COMMAND, "run", "--plan", "smoke", "--device", "cpu", "--output-dir", tmp_path / "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        for _ in range(2):  # the run has begun, its measuring process is still importing torch
            process.stderr.readline()
        process.send_signal(signal.SIGINT)
        error = process.communicate()[1]
    assert process.returncode == INTERRUPTED, error
    assert error.endswith("Interrupted before the first reading; nothing was written.\n")
    assert not (tmp_path / "run").exists()


def test_help_whose_reader_left_ends_without_a_word():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, "run", "--help"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (MISUSE, b"")


def test_a_closed_output_is_no_failure():
    command = [shutil.which("sh"), "-c", 'exec "$@" >&-', "sh", *COMMAND, "list"]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (FINE, b"")
