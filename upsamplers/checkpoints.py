"""Picks an operator's weights out of a published checkpoint, wherever in it they are."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from upsamplers.checkpoint_file import PARALLEL, read_weights
from upsamplers.errors import CheckpointError
from upsamplers.registry import suggestion

# What published hosts call a part that has another name in the operator of the paper's own repository: the
# convolution of mmcv's PixelShufflePack.
ALIASES = {"0.": "upsample_conv."}
SHOWN = 3
LISTED = 6


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
        return f"{', '.join(self.names)} from {_place(self.prefix)}"


@dataclass(frozen=True, slots=True)
class _Fit:
    """How an operator fits a place in a checkpoint.

    Attributes:
        found: the tensors that fit, by the operator's names.
        misfits: what does not, in words.
    """

    prefix: str
    found: Mapping[str, Tensor]
    misfits: tuple[str, ...]

    def __str__(self) -> str:
        return f"{_place(self.prefix)}: {'; '.join(self.misfits)}"


def load_published(
    module: nn.Module, checkpoint: str | os.PathLike[str] | Mapping[str, Any], *, prefix: str | None = None
) -> Loaded:
    """Loads an operator's weights from a published checkpoint, all or, where anything does not fit, none.

    The weights may lie anywhere in it: under "state_dict" or "model" (mmcv, mmengine), behind DataParallel's
    "module.", within the names of a whole detector. They are cast to the operator's dtype and device. Buffers that are
    constants (DySample's `init_pos`) may be missing; where there, they must be those of the operator.

    A file is read by `torch.load(weights_only=True)`: nothing in it is run. What mmcv and mmengine keep beside the
    weights (settings, histories, NumPy scalars) is passed over.

    Args:
        module: an operator, made with the channels, the scale and the options of the published one.
        checkpoint: the path of a file (.pth, .pt, .bin, .ckpt; .safetensors where that package is installed), or what
            was loaded from one.
        prefix: where the weights are, e.g. "neck.upsample_modules.0"; by default the one place that all of them fit.

    Returns:
        Where they were, and what was loaded.

    Raises:
        CheckpointError: the file needs code to be read; no place fits, with what does not; or several do.
    """
    weights = read_weights(checkpoint)
    if not module.state_dict():
        raise CheckpointError(f"{_called(module)} has no weights to load")
    if any(one.is_meta for one in module.state_dict().values()):
        raise CheckpointError(
            f"{_called(module)} is on the meta device; give it memory first: module.to_empty(device=...)"
        )
    fit = _only_fit(module, weights) if prefix is None else _fit_at(module, weights, prefix)
    module.load_state_dict({**module.state_dict(), **fit.found})
    return Loaded(fit.prefix, tuple(fit.found))


def _only_fit(module: nn.Module, weights: Mapping[str, Tensor]) -> _Fit:
    tried = [_fit(module, weights, prefix) for prefix in _prefixes(module, weights)]
    fits = [one for one in tried if not one.misfits]
    if len(fits) > 1:
        raise CheckpointError(
            f"{_called(module)} fits {len(fits)} places of the checkpoint; "
            f"say which by prefix=: {_cut([repr(one.prefix) for one in fits], 4 * LISTED)}"
        )
    if not fits:
        raise CheckpointError(_nowhere(module, weights, tried))
    return fits[0]


def _fit_at(module: nn.Module, weights: Mapping[str, Tensor], prefix: str) -> _Fit:
    prefix = f"{prefix.rstrip('.')}." if prefix else ""
    if not any(name.startswith(prefix) for name in weights):
        prefix = prefix.removeprefix(PARALLEL)
    if not any(name.startswith(prefix) for name in weights):
        known = list(dict.fromkeys(_prefixes(module, weights))) or sorted({_parent(name) for name in weights})
        raise CheckpointError(f"the checkpoint has nothing at {prefix!r}; {_near(prefix, known)}")
    fit = _fit(module, weights, prefix)
    if fit.misfits:
        raise CheckpointError(f"{_called(module)} does not fit {fit}")
    return fit


def _fit(module: nn.Module, weights: Mapping[str, Tensor], prefix: str) -> _Fit:
    """How an operator fits a place, under the names that fit best."""
    inside = {name.removeprefix(prefix): one for name, one in weights.items() if name.startswith(prefix)}
    fits = [_fit_names(module, inside, prefix, rename) for rename in _RENAMES]
    return min(fits, key=lambda one: len(one.misfits))


def _fit_names(module: nn.Module, inside: Mapping[str, Tensor], prefix: str, rename: Callable[[str], str]) -> _Fit:
    own, constants = module.state_dict(), _constants(module)
    theirs = {name: rename(name) for name in own}
    found = {name: inside[theirs[name]] for name in own if theirs[name] in inside}
    missing = [theirs[name] for name in own if name not in found and name not in constants]
    unexpected = sorted(set(inside) - set(theirs.values()))
    misfits = []
    if missing:
        misfits.append(f"missing {_cut(missing)}{_option(module, missing, False)}")
    if unexpected:
        misfits.append(f"unexpected {_cut(unexpected)}{_option(module, unexpected, True)}")
    unfit = {name: _why_unfit(one, own[name], name in constants) for name, one in found.items()}
    misfits += [f"{theirs[name]} {reason}" for name, reason in unfit.items() if reason]
    return _Fit(prefix, found, tuple(misfits))


def _why_unfit(found: Tensor, own: Tensor, is_constant: bool) -> str | None:
    """Why a tensor cannot be loaded, or None."""
    if found.shape != own.shape:
        return f"is {tuple(found.shape)}, asked for {tuple(own.shape)}"
    if found.layout != torch.strided or found.is_meta:
        return f"is {'without memory' if found.is_meta else 'sparse'}, asked for a dense tensor"
    if found.is_floating_point() != own.is_floating_point():
        return f"is {found.dtype}, asked for {own.dtype}"
    if is_constant and not _same(found, own):
        return "has other values than this operator's: another scale or another option"
    return None


def _plain(name: str) -> str:
    return name


def _aliased(name: str) -> str:
    for ours, theirs in ALIASES.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


_RENAMES = (_plain, _aliased)


def _prefixes(module: nn.Module, weights: Iterable[str]) -> list[str]:
    """Every place in a checkpoint where one of the operator's own names occurs."""
    own, constants = module.state_dict().keys(), _constants(module)
    # An operator without parameters is known by its constants.
    names = {rename(name) for name in own - constants or own for rename in _RENAMES}
    found = {
        key.removesuffix(name): None for key in weights for name in names if key == name or key.endswith(f".{name}")
    }
    return list(found)


def _constants(module: nn.Module) -> set[str]:
    """The buffers that no training changes: all but the running statistics of norms."""
    buffers = set()
    for path, one in module.named_modules():
        trained = {"running_mean", "running_var"} if isinstance(one, _NormBase) else set()
        buffers |= {f"{path}.{name}".lstrip(".") for name in one._buffers if name not in trained}
    return buffers & module.state_dict().keys()


def _same(found: Tensor, own: Tensor) -> bool:
    # A step count is no constant of the mathematics; and a checkpoint may be of half precision.
    return not found.is_floating_point() or torch.allclose(found.float().cpu(), own.float().cpu(), rtol=1e-2, atol=1e-3)


def _option(module: nn.Module, names: Iterable[str], wanted: bool) -> str:
    """A hint where a name is there or not by an option of the operator: `scope.bias` by `scope_bias`."""
    options, asked = inspect.signature(type(module)).parameters, [name.replace(".", "_") for name in names]
    # Where more is amiss than options explain, the place or the operator is another.
    if not all(one in options for one in asked):
        return ""
    return f" (create the operator with {', '.join(f'{one}={wanted}' for one in asked)})"


def _nowhere(module: nn.Module, weights: Mapping[str, Tensor], tried: list[_Fit]) -> str:
    said = f"{_called(module)} fits no place of the checkpoint"
    if not tried:
        tops = _cut(sorted({name.split(".")[0] for name in weights}))
        return f"{said}: none of {_cut(list(module.state_dict()))} is in it; what it has begins with {tops}"
    # What misses least, and of that what has most.
    nearest = sorted(tried, key=lambda one: (len(one.misfits), -len(one.found)))[:SHOWN]
    return "\n  ".join([f"{said}; the nearest of {len(tried)}:", *map(str, nearest)])


def _near(prefix: str, known: list[str]) -> str:
    said = suggestion(prefix, known)
    return f"there are {_cut(list(map(repr, known)))}" if said.startswith("there are") else said


def _parent(name: str) -> str:
    return f"{name.rpartition('.')[0]}."


def _called(module: nn.Module) -> str:
    return f"{type(module).__name__}({module.extra_repr()})"


def _place(prefix: str) -> str:
    return repr(prefix) if prefix else "its top"


def _cut(names: list[str], at: int = LISTED) -> str:
    return ", ".join(names[:at]) + (f" and {len(names) - at} more" if len(names) > at else "")
