"""Published weights: read from a checkpoint without running anything in it, and loaded into an operator."""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from upsamplers.errors import CheckpointError
from upsamplers.registry import suggestion

# Where checkpoints keep their weights, next to the optimizer, the settings and the history of the training.
CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "weights", "params", "module")
# Where they keep the exponential moving average of these.
AVERAGES = ("state_dict_ema", "ema_state_dict", "params_ema", "model_ema", "ema_model", "ema")
RAW, EMA = "raw", "ema"
PARALLEL = "module."
# Beside the weights in an average of torch and of mmengine.
COUNTERS = ("n_averaged", "steps")
# What published checkpoints keep next to the weights: none of it is needed, so a stand-in takes its place unread.
RECORDS = ("numpy.", "mmengine.", "mmcv.", "mmdet.", "mmseg.", "pytorch_lightning.", "lightning.", "omegaconf.")
BUILTINS = ("getattr", "int", "float", "str", "list", "dict")
RECORD_NAMES = {"argparse.Namespace", "pathlib.PosixPath", "pathlib.WindowsPath", *(f"builtins.{b}" for b in BUILTINS)}
RENAMED = {"__builtin__.long": "builtins.int", "__builtin__.unicode": "builtins.str"}
MAPPINGS = {"collections.defaultdict", "mmengine.config.config.ConfigDict", "mmcv.utils.config.ConfigDict"}
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
        weights: "raw", or "ema": their exponential moving average.
        others: where the checkpoint has the other kind, which was not loaded; empty: nowhere.
    """

    prefix: str
    names: tuple[str, ...]
    weights: str = RAW
    others: str = ""

    def __str__(self) -> str:
        loaded = f"{', '.join(self.names)} from {repr(self.prefix) if self.prefix else 'its top'}"
        if self.weights == RAW and not self.others:
            return loaded
        others = f"; {EMA if self.weights == RAW else RAW} ones, not loaded, are at {self.others!r}" * bool(self.others)
        return f"{loaded} ({self.weights} weights{others})"


@dataclass(frozen=True, slots=True)
class _Kind:
    """The raw or the averaged weights of a checkpoint.

    Attributes:
        path: the keys that lead to them, e.g. "ema.module".
        tensors: by name.
    """

    path: str = ""
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


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
    module: nn.Module,
    checkpoint: str | os.PathLike[str] | Mapping[str, Any] | nn.Module,
    *,
    prefix: str | None = None,
    weights: str | None = None,
) -> Loaded:
    """Loads an operator's weights from a published checkpoint; where anything does not fit, nothing is loaded.

    The weights may be anywhere in it: under "state_dict" or "model" (mmcv, mmengine), behind DataParallel's
    "module.", within the names of a detector. They are cast to the operator's dtype and device. Buffers that are
    constants (DySample's `init_pos`) may be missing; if present, they must be those of the operator. Where a
    checkpoint has raw weights and their exponential moving average, the average is loaded, as evaluation scripts do.

    A file is read by `torch.load(weights_only=True)`: nothing in it is run. What mmcv and mmengine keep next to the
    weights (settings, histories, NumPy scalars) is ignored.

    Args:
        module: an operator, made with the channels, the scale and the options of the published one.
        checkpoint: the path of a file (.pth, .pt, .bin, .ckpt; .safetensors where that package is installed), or what
            was loaded from one, whole models included.
        prefix: where the weights are, e.g. "neck.upsample_modules.0"; by default the one place that all of them fit.
        weights: "raw" or "ema"; by default "ema" where there are such.

    Returns:
        Where they were, and what was loaded; print it.

    Raises:
        CheckpointError: there is no such file, it is damaged or needs code to be read; there are no weights of this
            kind; they fit nowhere (the message says why), or in several places; some are not finite.
    """
    found = _kinds(checkpoint)
    kind = _chosen(found, weights)
    if not module.state_dict():
        raise CheckpointError(f"{_described(module)} has no weights to load")
    if any(tensor.is_meta for tensor in module.state_dict().values()):
        raise CheckpointError(
            f"{_described(module)} is on the meta device; give it memory first: module.to_empty(device=...)"
        )
    tensors = found[kind].tensors
    fit = _only_fit(module, tensors) if prefix is None else _fit_at(module, tensors, prefix)
    if broken := [name for name, tensor in fit.weights.items() if not tensor.isfinite().all()]:
        raise CheckpointError(f"the checkpoint has values that are not finite in {_listed(broken)}; nothing was loaded")
    _load_all(module, fit.weights)
    others = [other.path for name, other in found.items() if name != kind]
    return Loaded(fit.prefix, tuple(fit.weights), kind, *others)


def _load_all(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Loads the weights, or none of them where one cannot be written to."""
    state = module.state_dict()
    before = {name: state[name].clone() for name in weights}
    try:
        module.load_state_dict({**state, **weights})
    except RuntimeError as problem:
        for name, tensor in before.items():
            with suppress(RuntimeError):  # of what could not be written to
                state[name].copy_(tensor)
        refused = ", ".join(re.findall(r'parameter named "([^"]+)"', str(problem))) or "something"
        raise CheckpointError(
            f"{refused} of {_described(module)} cannot be written to; nothing was loaded"
        ) from problem


def _only_fit(module: nn.Module, weights: Mapping[str, Tensor]) -> _Fit:
    tried = [_fit(module, weights, prefix) for prefix in _prefixes(module, weights)]
    # Where an operator's name and its alias meet the same tensors, that is one place.
    fitting = sorted((fit for fit in tried if not fit.misfits), key=lambda fit: len(fit.prefix), reverse=True)
    fits = list({tuple(map(id, fit.weights.values())): fit for fit in fitting}.values())
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
    # Formats of 8 bits and fewer need a scale of their own.
    if tensor.is_floating_point() != own.is_floating_point() or (tensor.is_floating_point() and tensor.itemsize < 2):
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


def _kinds(checkpoint: str | os.PathLike[str] | Mapping[str, Any] | nn.Module) -> dict[str, _Kind]:
    """The raw and the averaged weights of a checkpoint, at least one of them.

    Raises:
        CheckpointError: the file cannot be read without running code, or has no tensors by name.
    """
    content: Any = checkpoint if isinstance(checkpoint, Mapping | nn.Module) else _read(checkpoint)
    top = content if isinstance(content, Mapping) else {}
    average = next((key for key in AVERAGES if _is_container(top.get(key))), None)
    found = {RAW: _innermost(content, "")}
    if average is not None:
        found[EMA] = _innermost(top[average], average)
        # mmengine's EMAHook exchanges the two when it saves.
        if average == "ema_state_dict" and "message_hub" in top:
            found[RAW], found[EMA] = found[EMA], found[RAW]
    found = {name: kind for name, kind in found.items() if kind.tensors}
    if not found:
        keys = ", ".join(map(repr, list(top)[:8])) or ("nothing" if content is top else type(content).__name__)
        raise CheckpointError(
            f"no tensors by name in the checkpoint, which contains {keys}; "
            f"expected a state_dict, alone or under one of {', '.join(map(repr, (*CONTAINERS, *AVERAGES)))}"
        )
    return found


def _chosen(found: Mapping[str, _Kind], wanted: str | None) -> str:
    """The kind of weights that is asked for, or by default the average where there is one."""
    if wanted not in (None, RAW, EMA):
        raise CheckpointError(f"weights={wanted!r}; expected {RAW!r} or {EMA!r}")
    if wanted is not None and wanted not in found:
        raise CheckpointError(f"the checkpoint has no {wanted} weights; it has {' and '.join(found)} weights")
    return wanted or (EMA if EMA in found else RAW)


def _is_container(value: Any) -> bool:
    return isinstance(value, Mapping | nn.Module)


def _innermost(content: Any, path: str) -> _Kind:
    """The tensors by name of the innermost container, without DataParallel's "module."."""
    opened = set[int]()
    while _is_container(content) and id(content) not in opened:
        opened.add(id(content))
        if isinstance(content, nn.Module):
            content = content.state_dict()
        # Some checkpoints have a tensor or two next to the weights: what is nested goes first.
        nested = next((key for key in CONTAINERS if _is_container(content.get(key))), None)
        if nested is None:
            tensors = {
                name: item for name, item in content.items() if isinstance(item, Tensor) and name not in COUNTERS
            }
            if all(str(name).startswith(PARALLEL) for name in tensors):
                tensors = {name.removeprefix(PARALLEL): tensor for name, tensor in tensors.items()}
            return _Kind(path, {name: tensor for name, tensor in tensors.items() if isinstance(name, str)})
        content, path = content[nested], f"{path}.{nested}".lstrip(".")
    return _Kind()


def _read(path: str | os.PathLike[str]) -> Any:
    if not isinstance(path, str | os.PathLike):
        raise CheckpointError(f"the checkpoint is {path!r}; expected the path of a file, or what was loaded from one")
    if str(path).startswith(("http://", "https://")):
        raise CheckpointError(f"{path} is an address; download it, and give the path of the file")
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"{file} is {'a folder' if file.is_dir() else 'not there, or no file'}; expected a file")
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    try:
        stand_ins: list[Any] = [_stand_in(name) for name in sorted(_globals_of(file)) if _is_record(name)]
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:  # a damaged file may raise anything
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
            "comes from: load_published(operator, torch.load(path, weights_only=False))"
        )
    reason = (str(problem).strip() or "no details").splitlines()[-1]
    return f"{file} is not a checkpoint of torch.save, or is incomplete: {type(problem).__name__}: {reason}"
