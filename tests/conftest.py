"""Options and fixtures for all tests."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Fused kernels are tested without a GPU too. Read when triton is first imported, and only then.
if not any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg"))):
    os.environ.setdefault("TRITON_INTERPRET", "1")
# More threads than cores wait for each other at full load. Read when torch is imported, also by processes of tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Those of a test that wants two would, too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# `nohup make test &` ignores Ctrl-C, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

GOLDEN = Path(__file__).parent / "upsampler_bench" / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write the golden files again; read their diff then")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait for processes."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need the GPU share it one after the other, also where the suite runs on all cores."""
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.xdist_group("cuda"))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Holds a text against the golden file of that name, or writes it with `--rewrite-golden`."""

    def check(name: str, text: str) -> None:
        if request.config.getoption("--rewrite-golden"):
            (GOLDEN / name).write_text(text, encoding="utf-8")
        assert text == (GOLDEN / name).read_text(encoding="utf-8"), "if this is wanted: pytest --rewrite-golden"

    return check


@pytest.fixture
def registry_restored(monkeypatch, tmp_path):
    """Undoes whatever a test registers, loads as a plug-in file or imports from its folder."""
    from upsamplers import registry

    registry.names()
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))
    monkeypatch.setattr(registry, "_discovered", set(registry._discovered))
    yield
    for name, module in list(sys.modules.items()):
        file = str(getattr(module, "__file__", None))
        if name.startswith(registry.FILE_PLUGIN) or file.startswith(str(tmp_path)):
            del sys.modules[name]
