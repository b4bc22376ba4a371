"""Fixtures for the tests of the instrument."""

import sys

import pytest

from upsampler_bench import cli


@pytest.fixture
def invoke(monkeypatch, capsys, tmp_path):
    """Runs a command line in a folder of its own: the exit code, and what it printed on both outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["upsampler-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return run
