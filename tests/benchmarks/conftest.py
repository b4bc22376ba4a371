"""The benchmarks of this folder are collected only with pytest-benchmark enabled: `make bench-pytest`."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if config.pluginmanager.hasplugin("benchmark") else True


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shape", default="256x120x120", help="CxHxW of the low-resolution feature")
    parser.addoption("--device", default="auto", help="auto, cpu, cuda or cuda:i")
