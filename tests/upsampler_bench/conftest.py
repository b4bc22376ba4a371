"""Fixtures for the tests of the instrument."""

import sys
from pathlib import Path

import pytest
from fake_process import ThisProcess

import upsamplers
from upsampler_bench import cli
from upsampler_bench.runner import isolated, operators, pool


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


@pytest.fixture
def bad_operators(registry_restored, monkeypatch):
    """Those of `bad_plugins.py` in this process, which loads the plug-ins of a plan in place of another."""

    def registered(variants=(), *, plugins=(), **_):
        operators.load(plugins)
        operators.add_variants(variants)
        return operators.registered()

    monkeypatch.setattr(isolated, "registered", registered)
    if "good" not in upsamplers.names():
        upsamplers.load_plugin(str(Path(__file__).with_name("bad_plugins.py")))


@pytest.fixture
def here(bad_operators, monkeypatch):
    """Operators are measured in this process, with times that are made up."""
    monkeypatch.setattr(pool, "Process", ThisProcess)
