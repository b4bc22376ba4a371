"""Reads the tensors of a published checkpoint, and never runs anything that is in it."""

from __future__ import annotations

import importlib
import os
import pickle
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from upsamplers.errors import CheckpointError

# Where checkpoints keep their weights, beside the optimizer, the settings and the history of the training.
CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "weights", "params")
PARALLEL = "module."
# What published checkpoints keep beside the weights: nothing of it is needed, so a stand-in takes its place unread.
RECORDS = ("numpy.", "mmengine.", "mmcv.", "mmdet.", "mmseg.", "pytorch_lightning.", "lightning.", "omegaconf.")
RECORD_NAMES = frozenset(
    {"argparse.Namespace", "pathlib.PosixPath", "pathlib.WindowsPath"}
    | {f"builtins.{one}" for one in ("getattr", "int", "float", "str", "list", "dict")}
)
RENAMED = {"__builtin__.long": "builtins.int", "__builtin__.unicode": "builtins.str"}
MAPPINGS = frozenset({"collections.defaultdict", "mmengine.config.config.ConfigDict", "mmcv.utils.config.ConfigDict"})
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError)
UNREADABLE = (pickle.UnpicklingError, *DAMAGED)
# A file of before torch 1.6: three pickles of bookkeeping, then the one that matters.
LEGACY_PICKLES = 4


class _Record:
    """Stands in for whatever a checkpoint names beside tensors: takes every argument and every state, keeps nothing."""

    def __new__(cls, *args: Any) -> _Record:
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Mapping:
    """Stands in for a kind of dict: becomes a plain one."""

    def __new__(cls, *args: Any) -> Any:
        return {}


def read_weights(checkpoint: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by their names, without what wraps them and without DataParallel's "module.".

    Args:
        checkpoint: the path of a file of torch.save or safetensors, or what was loaded from one.

    Raises:
        CheckpointError: the file cannot be read without running code, or there are no tensors by name in it.
    """
    loaded = checkpoint if isinstance(checkpoint, Mapping) else _read(checkpoint)
    weights = _tensors(loaded)
    if weights and all(name.startswith(PARALLEL) for name in weights):
        return {name.removeprefix(PARALLEL): one for name, one in weights.items()}
    return weights


def _tensors(loaded: Any) -> dict[str, Tensor]:
    inner, seen = loaded, set[int]()
    while isinstance(inner, Mapping) and id(inner) not in seen:
        seen.add(id(inner))
        weights = {name: one for name, one in inner.items() if isinstance(name, str) and isinstance(one, Tensor)}
        # Beside the weights of some checkpoints lies a tensor or two: what is nested goes first.
        nested = next((inner[key] for key in CONTAINERS if isinstance(inner.get(key), Mapping)), None)
        if nested is None:
            if weights:
                return weights
            break
        inner = nested
    found = ", ".join(map(repr, list(loaded)[:8])) if isinstance(loaded, Mapping) else type(loaded).__name__
    raise CheckpointError(
        f"no tensors by name in the checkpoint, which holds {found or 'nothing'}; "
        f"expected a state_dict, alone or under one of {', '.join(map(repr, CONTAINERS))}"
    )


def _read(path: str | os.PathLike[str]) -> Any:
    if str(path).startswith(("http://", "https://")):
        raise CheckpointError(f"{path} is an address; download it, and give the path of the file")
    file = Path(path)
    return _read_safetensors(file) if file.suffix == ".safetensors" else _read_torch(file)


def _read_safetensors(file: Path) -> Any:
    try:
        reader = importlib.import_module("safetensors.torch")
    except ModuleNotFoundError as problem:
        raise CheckpointError(
            f"{file} needs the package safetensors, which is not here: pip install safetensors"
        ) from problem
    try:
        return reader.load_file(file, device="cpu")
    except importlib.import_module("safetensors").SafetensorError as problem:
        raise CheckpointError(f"{file} is no whole file of safetensors: {problem}") from problem


def _read_torch(file: Path) -> Any:
    try:
        named = _globals_of(file)
        with _standing_in(named):
            return torch.load(file, map_location="cpu", weights_only=True)
    except UNREADABLE as problem:
        raise CheckpointError(_why_unreadable(file, problem)) from problem


def _globals_of(file: Path) -> set[str]:
    """The classes and functions that a file's pickle names; it is read as data, and nothing is imported."""
    with file.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            stream.seek(0)
            return {name for _ in range(LEGACY_PICKLES) for name in _names_in(stream)}
    with zipfile.ZipFile(file) as archive:
        inside = next((one for one in archive.namelist() if one.endswith("data.pkl")), None)
        if inside is None:
            raise pickle.UnpicklingError("no data.pkl in the archive")
        with archive.open(inside) as stream:
            return set(_names_in(stream))


def _names_in(stream: IO[bytes]) -> Iterator[str]:
    for op, argument, _ in pickletools.genops(stream):
        if op.name == "GLOBAL":
            name = str(argument).replace(" ", ".")
            yield RENAMED.get(name, name.replace("__builtin__.", "builtins."))


def _standing_in(named: set[str]) -> AbstractContextManager[Any]:
    """Lets torch read a file that names the records of a training, with stand-ins that do nothing in their places."""
    stand_ins = [_stand_in(name) for name in sorted(named) if _is_record(name)]
    # torch 2.5 and later; before, such a file is refused.
    allow = getattr(torch.serialization, "safe_globals", None)
    return allow(stand_ins) if allow and stand_ins else nullcontext()


def _is_record(name: str) -> bool:
    return name.startswith(RECORDS) or name in RECORD_NAMES or name in MAPPINGS


def _stand_in(name: str) -> type:
    module, _, short = name.rpartition(".")
    return type(short, (_Mapping if name in MAPPINGS else _Record,), {"__module__": module})


def _why_unreadable(file: Path, problem: Exception) -> str:
    code = re.search(r"GLOBAL (\S+)", str(problem))
    said = (str(problem).strip() or "no more is known").splitlines()[-1]
    if not code:
        return f"{file} is no checkpoint of torch.save, or not a whole one: {type(problem).__name__}: {said}"
    return (
        f"{file} cannot be read as data alone: it asks for {code[1]}. Nothing in it was run. If you trust where it "
        "comes from, write its tensors into a file of their own: "
        'torch.save(torch.load(path, weights_only=False)["state_dict"], "weights.pth")'
    )
