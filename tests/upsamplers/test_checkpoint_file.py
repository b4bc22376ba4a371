"""Reading a checkpoint: what files are read, and that nothing in them is run."""

import importlib
import io
import os
import pickle
import sys
import types
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from published_weights import dysample, loaded, published, unchanged
from torch import nn

import upsamplers
from upsamplers import CheckpointError, checkpoint_file


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_are_read(tmp_path: Path, zipped: bool) -> None:
    module = dysample()
    weights = published(module, "neck.")
    torch.save({"state_dict": weights}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    upsamplers.load_published(module, tmp_path / "a.pth")
    assert loaded(module, weights, "neck.")
    upsamplers.load_published(module, str(tmp_path / "a.pth"))


def test_files_of_safetensors_are_read(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    module = dysample()
    weights = published(module, "neck.")
    safetensors.save_file(weights, tmp_path / "a.safetensors")
    upsamplers.load_published(module, tmp_path / "a.safetensors")
    assert loaded(module, weights, "neck.")


def test_without_safetensors_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    assert "pip install safetensors" in unchanged(dysample(), tmp_path / "a.safetensors")


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        upsamplers.load_published(dysample(), tmp_path / "none.pth")
    assert "download it" in unchanged(dysample(), "https://example.org/a.pth")


def write_code(path: Path, call: Any, zipped: bool) -> None:
    """A checkpoint that runs something when it is unpickled."""

    class Runs:
        def __reduce__(self) -> Any:
            return call

    torch.save({"state_dict": published(dysample()), "meta": Runs()}, path, _use_new_zipfile_serialization=zipped)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "function", [os.system, eval, exec, importlib.import_module, __import__], ids=lambda one: one.__name__
)
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, function: Any, zipped: bool) -> None:
    mark = tmp_path / "it-ran"
    code = f"touch {mark}" if function is os.system else f"open({str(mark)!r}, 'w')"
    write_code(tmp_path / "bad.pth", (function, (code,)), zipped)
    said = unchanged(dysample(), tmp_path / "bad.pth")
    assert ".pth cannot be read as data alone: it asks for " in said
    assert function.__name__ in said
    assert "Nothing in it was run" in said
    assert not mark.exists()


def test_a_getter_in_a_checkpoint_gets_nothing(tmp_path: Path) -> None:
    write_code(tmp_path / "a.pth", (getattr, ("text", "upper")), True)
    upsamplers.load_published(dysample(), tmp_path / "a.pth")
    got = checkpoint_file._read(tmp_path / "a.pth")["meta"]
    assert isinstance(got, checkpoint_file._Record)
    assert not vars(got)


@pytest.mark.parametrize("zipped", [True, False])
def test_the_records_of_mmengine_are_passed_over(tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    history = types.ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        def __init__(self) -> None:
            self.values = numpy.array([0.5, 0.25])
            self.statistics = {"mean": self.mean}

        def mean(self) -> Any:
            return self.values.mean()

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = history.__name__, "HistoryBuffer"
    history.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    module = dysample()
    weights = published(module, "neck.")
    records = {"loss": HistoryBuffer(), "best": numpy.float64(0.5), "counts": defaultdict(int, {"iter": 3})}
    with monkeypatch.context() as there:
        for name in ("mmengine", "mmengine.logging"):
            there.setitem(sys.modules, name, types.ModuleType(name))
        there.setitem(sys.modules, history.__name__, history)
        torch.save(
            {"meta": {"cfg": "model = dict()"}, "message_hub": records, "state_dict": weights},
            tmp_path / "mm.pth",
            _use_new_zipfile_serialization=zipped,
        )
    allowed = torch.serialization.get_safe_globals()
    assert history.__name__ not in sys.modules
    upsamplers.load_published(module, tmp_path / "mm.pth")
    assert loaded(module, weights, "neck.")
    assert set(torch.serialization.get_safe_globals()) == set(allowed)
    assert history.__name__ not in sys.modules


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps({"a": 1}), pickle.dumps(io.BytesIO())])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    said = unchanged(dysample(), tmp_path / "a.pth")
    assert "a.pth is no checkpoint of torch.save" in said
    assert "weights_only=False" not in said


def test_a_whole_model_in_a_file_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Sequential(dysample()), tmp_path / "model.pth")
    assert "it asks for torch.nn.modules.container.Sequential" in unchanged(dysample(), tmp_path / "model.pth")


@pytest.mark.parametrize("signature", [b"PK\1\2", b"PK\3\4"])
def test_a_damaged_file_is_refused_without_advice_to_run_it(tmp_path, signature):
    path = tmp_path / "damaged.pth"
    torch.save(upsamplers.create("carafe", 8).state_dict(), path)
    path.write_bytes(path.read_bytes().replace(signature, b"\0\0\0\0"))
    with pytest.raises(CheckpointError) as refusal:
        upsamplers.load_published(upsamplers.create("carafe", 8), path)
    assert "weights_only=False" not in str(refusal.value)
