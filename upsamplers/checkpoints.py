"""Published weights: read from a checkpoint without running anything in it, and loaded into an operator."""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from upsamplers.errors import CheckpointError
from upsamplers.registry import suggestion

# Where checkpoints keep their weights, next to the optimizer, the settings and the history of the training.
CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "weights", "params")
PARALLEL = "module."
# What published checkpoints keep next to the weights: none of it is needed, so a stand-in takes its place unread.
RECORDS = ("numpy.", "mmengine.", "mmcv.", "mmdet.", "mmseg.", "pytorch_lightning.", "lightning.", "omegaconf.")
BUILTINS = ("getattr", "int", "float", "str", "list", "dict")
RECORD_NAMES = {"argparse.Namespace", "pathlib.PosixPath", "pathlib.WindowsPath", *(f"builtins.{b}" for b in BUILTINS)}
RENAMED = {"__builtin__.long": "builtins.int", "__builtin__.unicode": "builtins.str"}
MAPPINGS = {"collections.defaultdict", "mmengine.config.config.ConfigDict", "mmcv.utils.config.ConfigDict"}
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError)
# A file from before torch 1.6: three pickles of bookkeeping, then the one that matters.
LEGACY_PICKLES = 4
# What published models call a part that has another name in the operator of the paper's own repository: the
# convolution of mmcv's PixelShufflePack.
ALIASES = {"0.": "upsample_conv."}
# The most places, and names of a place, in a message.
SHOWN, LISTED = 3, 6


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded.

    Attributes:
        prefix: where in the checkpoint the weights were, e.g. "neck.upsample_modules.0."; empty: at its top.
        names: of the operator's state_dict, those that were loaded.
    """

    prefix: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.names)} from {repr(self.prefix) if self.prefix else 'its top'}"


@dataclass(frozen=True, slots=True)
class _Fit:
    """How an operator fits the names below a prefix of a checkpoint.

    Attributes:
        weights: the tensors by the operator's names.
        misfits: what does not fit, in words.
    """

    prefix: str
    weights: Mapping[str, Tensor]
    misfits: tuple[str, ...]

    def __str__(self) -> str:
        return f"{repr(self.prefix) if self.prefix else 'its top'}: {'; '.join(self.misfits)}"


def load_published(
    module: nn.Module, checkpoint: str | os.PathLike[str] | Mapping[str, Any], *, prefix: str | None = None
) -> Loaded:
    """Loads an operator's weights from a published checkpoint; where anything does not fit, nothing is loaded.

    The weights may be anywhere in it: under "state_dict" or "model" (mmcv, mmengine), behind DataParallel's
    "module.", within the names of a detector. They are cast to the operator's dtype and device. Buffers that are
    constants (DySample's `init_pos`) may be missing; if present, they must be those of the operator.

    A file is read by `torch.load(weights_only=True)`: nothing in it is run. What mmcv and mmengine keep next to the
    weights (settings, histories, NumPy scalars) is ignored.

    Args:
        module: an operator, made with the channels, the scale and the options of the published one.
        checkpoint: the path of a file (.pth, .pt, .bin, .ckpt; .safetensors where that package is installed), or what
            was loaded from one.
        prefix: where the weights are, e.g. "neck.upsample_modules.0"; by default the one place that all of them fit.

    Returns:
        Where they were, and what was loaded.

    Raises:
        CheckpointError: the file needs code to be read; the weights fit nowhere (the message says why), or in several
            places.
    """
    weights = read_weights(checkpoint)
    if not module.state_dict():
        raise CheckpointError(f"{_described(module)} has no weights to load")
    if any(tensor.is_meta for tensor in module.state_dict().values()):
        raise CheckpointError(
            f"{_described(module)} is on the meta device; give it memory first: module.to_empty(device=...)"
        )
    fit = _only_fit(module, weights) if prefix is None else _fit_at(module, weights, prefix)
    module.load_state_dict({**module.state_dict(), **fit.weights})
    return Loaded(fit.prefix, tuple(fit.weights))


def _only_fit(module: nn.Module, weights: Mapping[str, Tensor]) -> _Fit:
    tried = [_fit(module, weights, prefix) for prefix in _prefixes(module, weights)]
    fits = [fit for fit in tried if not fit.misfits]
    if len(fits) == 1:
        return fits[0]
    name = _described(module)
    if fits:
        places = _listed([repr(fit.prefix) for fit in fits], 4 * LISTED)
        raise CheckpointError(f"{name} fits {len(fits)} places of the checkpoint; choose one by prefix=: {places}")
    if not tried:
        tops = _listed(sorted({key.split(".")[0] for key in weights}))
        raise CheckpointError(
            f"{name} does not fit the checkpoint: it has none of {_listed(list(module.state_dict()))}; its names begin "
            f"with {tops}"
        )
    # Those with the fewest misfits, and of these with the most weights.
    nearest = sorted(tried, key=lambda fit: (len(fit.misfits), -len(fit.weights)))[:SHOWN]
    first = f"{name} does not fit the checkpoint; the nearest of {len(tried)}:"
    raise CheckpointError("\n  ".join([first, *map(str, nearest)]))


def _fit_at(module: nn.Module, weights: Mapping[str, Tensor], prefix: str) -> _Fit:
    prefix = f"{prefix.rstrip('.')}." if prefix else ""
    if not any(name.startswith(prefix) for name in weights):
        prefix = prefix.removeprefix(PARALLEL)
    if not any(name.startswith(prefix) for name in weights):
        known = _prefixes(module, weights) or sorted({f"{name.rpartition('.')[0]}." for name in weights})
        near = suggestion(prefix, known)
        if not near.startswith("did you mean"):
            near = f"there are {_listed(list(map(repr, known)))}"
        raise CheckpointError(f"the checkpoint has nothing at {prefix!r}; {near}")
    fit = _fit(module, weights, prefix)
    if fit.misfits:
        raise CheckpointError(f"{_described(module)} does not fit {fit}")
    return fit


def _fit(module: nn.Module, weights: Mapping[str, Tensor], prefix: str) -> _Fit:
    """How an operator fits the names below a prefix, under its own names or their aliases, which fit better."""
    inside = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    own, constants = module.state_dict(), _constants(module)
    fits = []
    for published in ({name: name for name in own}, {name: _alias(name) for name in own}):
        matched = {name: inside[published[name]] for name in own if published[name] in inside}
        missing = [published[name] for name in own if name not in matched and name not in constants]
        unexpected = sorted(set(inside) - set(published.values()))
        misfits = []
        if missing:
            misfits.append(f"missing {_listed(missing)}{_option_hint(module, missing, False)}")
        if unexpected:
            misfits.append(f"unexpected {_listed(unexpected)}{_option_hint(module, unexpected, True)}")
        for name, tensor in matched.items():
            if reason := _why_unfit(tensor, own[name], name in constants):
                misfits.append(f"{published[name]} {reason}")
        fits.append(_Fit(prefix, matched, tuple(misfits)))
    return min(fits, key=lambda fit: len(fit.misfits))


def _alias(name: str) -> str:
    for ours, theirs in ALIASES.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def _why_unfit(tensor: Tensor, own: Tensor, is_constant: bool) -> str | None:
    """Why a tensor cannot be loaded, or None."""
    if tensor.shape != own.shape:
        return f"is {tuple(tensor.shape)}, expected {tuple(own.shape)}"
    if tensor.layout != torch.strided or tensor.is_meta:
        return f"is {'on the meta device' if tensor.is_meta else 'sparse'}, expected a dense tensor"
    if tensor.is_floating_point() != own.is_floating_point():
        return f"is {tensor.dtype}, expected {own.dtype}"
    # A count of steps is not a constant of the mathematics.
    if not (is_constant and own.is_floating_point()):
        return None
    # A checkpoint may be of half precision.
    if torch.allclose(tensor.float().cpu(), own.float().cpu(), rtol=1e-2, atol=1e-3):
        return None
    return "has other values than this operator's: another scale or another option"


def _prefixes(module: nn.Module, weights: Iterable[str]) -> list[str]:
    """Every place in a checkpoint with one of the operator's own names, in the checkpoint's order."""
    own, constants = module.state_dict().keys(), _constants(module)
    # An operator without parameters is recognised by its constants.
    names = {alias for name in own - constants or own for alias in (name, _alias(name))}
    places = [key.removesuffix(name) for key in weights for name in names if key == name or key.endswith(f".{name}")]
    return list(dict.fromkeys(places))


def _constants(module: nn.Module) -> set[str]:
    """The buffers that no training changes: all but the running statistics of norms."""
    buffers = set()
    for path, layer in module.named_modules():
        trained = ("running_mean", "running_var") if isinstance(layer, _NormBase) else ()
        buffers |= {f"{path}.{name}".lstrip(".") for name in layer._buffers if name not in trained}
    return buffers & module.state_dict().keys()


def _option_hint(module: nn.Module, names: Iterable[str], value: bool) -> str:
    """Which option of the operator adds or removes these names: `scope.bias` by `scope_bias`."""
    options = [name.replace(".", "_") for name in names]
    # Where options explain only some of the names, the place or the operator is another.
    if not set(options) <= inspect.signature(type(module)).parameters.keys():
        return ""
    return f" (create the operator with {', '.join(f'{option}={value}' for option in options)})"


def _described(module: nn.Module) -> str:
    return f"{type(module).__name__}({module.extra_repr()})"


def _listed(names: list[str], most: int = LISTED) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def read_weights(checkpoint: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by their names, without what wraps them and without DataParallel's "module.".

    Args:
        checkpoint: the path of a file of torch.save or safetensors, or what was loaded from one.

    Raises:
        CheckpointError: the file cannot be read without running code, or has no tensors by name.
    """
    content = checkpoint if isinstance(checkpoint, Mapping) else _read(checkpoint)
    weights = _tensors(content)
    if not weights:
        found = ", ".join(map(repr, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(
            f"no tensors by name in the checkpoint, which contains {found or 'nothing'}; "
            f"expected a state_dict, alone or under one of {', '.join(map(repr, CONTAINERS))}"
        )
    if all(name.startswith(PARALLEL) for name in weights):
        return {name.removeprefix(PARALLEL): tensor for name, tensor in weights.items()}
    return weights


def _tensors(content: Any) -> dict[str, Tensor]:
    """The tensors by name of the innermost container."""
    opened = set[int]()
    while isinstance(content, Mapping) and id(content) not in opened:
        opened.add(id(content))
        # Some checkpoints have a tensor or two next to the weights: what is nested goes first.
        nested = next((content[key] for key in CONTAINERS if isinstance(content.get(key), Mapping)), None)
        if nested is None:
            return {name: item for name, item in content.items() if isinstance(name, str) and isinstance(item, Tensor)}
        content = nested
    return {}


def _read(path: str | os.PathLike[str]) -> Any:
    if str(path).startswith(("http://", "https://")):
        raise CheckpointError(f"{path} is an address; download it, and give the path of the file")
    file = Path(path)
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    try:
        stand_ins = [_stand_in(name) for name in sorted(_globals_of(file)) if _is_record(name)]
        # torch 2.5 and later; before, such a file is refused.
        allow = getattr(torch.serialization, "safe_globals", None)
        with allow(stand_ins) if allow and stand_ins else nullcontext():
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *DAMAGED) as problem:
        raise CheckpointError(_why_unreadable(file, problem)) from problem


def _read_safetensors(file: Path) -> Any:
    try:
        reader = importlib.import_module("safetensors.torch")
    except ModuleNotFoundError as problem:
        raise CheckpointError(f"{file} needs safetensors, which is not installed: pip install safetensors") from problem
    try:
        return reader.load_file(file, device="cpu")
    except importlib.import_module("safetensors").SafetensorError as problem:
        raise CheckpointError(f"{file} is not a safetensors file, or is incomplete: {problem}") from problem


def _globals_of(file: Path) -> set[str]:
    """The classes and functions that a file's pickle names; it is read as data, and nothing is imported."""
    with file.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            stream.seek(0)
            return {name for _ in range(LEGACY_PICKLES) for name in _names_in(stream)}
    with zipfile.ZipFile(file) as archive:
        inside = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
        if inside is None:
            raise pickle.UnpicklingError("no data.pkl in the archive")
        with archive.open(inside) as stream:
            return set(_names_in(stream))


def _names_in(stream: IO[bytes]) -> Iterator[str]:
    for op, argument, _ in pickletools.genops(stream):
        if op.name == "GLOBAL":
            name = str(argument).replace(" ", ".")
            yield RENAMED.get(name, name.replace("__builtin__.", "builtins."))


def _is_record(name: str) -> bool:
    return name.startswith(RECORDS) or name in RECORD_NAMES or name in MAPPINGS


class _Record:
    """Stands in for whatever a checkpoint names next to tensors: takes any argument and any state, keeps nothing."""

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


def _stand_in(name: str) -> type:
    module, _, short = name.rpartition(".")
    return type(short, (_Mapping if name in MAPPINGS else _Record,), {"__module__": module})


def _why_unreadable(file: Path, problem: Exception) -> str:
    code = re.search(r"GLOBAL (\S+)", str(problem))
    if code:
        return (
            f"{file} cannot be read as data alone: it needs {code[1]}. Nothing in it was run. If you trust where it "
            "comes from, write its tensors into a file of their own: "
            'torch.save(torch.load(path, weights_only=False)["state_dict"], "weights.pth")'
        )
    reason = (str(problem).strip() or "no details").splitlines()[-1]
    return f"{file} is not a checkpoint of torch.save, or is incomplete: {type(problem).__name__}: {reason}"
