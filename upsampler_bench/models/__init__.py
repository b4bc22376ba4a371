"""Models that an upsampler is measured in: one model a file, each given a factory of upsamplers and never a name.

A model's name is its file's with hyphens for underscores ("segformer-b1"); what stands in brackets behind it is its
argument, as in "stages(256x16x16/256+256x32x32/256)". A user's own model is "module:function" or "file.py:function": a
function such as `build` below, which may have attributes `LEAST` and `SIDE`.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from torch import nn

from upsampler_bench import discovery
from upsampler_bench.errors import PlanError
from upsamplers import Upsampler

IMAGE_CHANNELS = 3
NAMED = re.compile(r"([a-z0-9-]+)(?:\(([^()]*)\))?")


class MakeUpsampler(Protocol):
    """Makes the upsampler under test."""

    def __call__(self, channels: int, guide_channels: int | None = None, /) -> Upsampler:
        """One x2 stage of C channels; a guided operator is made for a guide of `guide_channels` (C by default).

        The model calls its `upsample_to(x, feature)`, whatever operator it is: `feature` (B, G, 2H, 2W), or a little smaller,
        is the higher-resolution encoder feature of G channels.
        """


class ModelModule(Protocol):
    """What a model's file has.

    Attributes:
        ABOUT: one line for a list of the models.
        LEAST: the smallest side of an image that a training step takes at batch 1.
        SIDE: may be left out: the image's sides must be whole numbers of times this.
    """

    ABOUT: str
    LEAST: int

    def build(self, make_upsampler: MakeUpsampler) -> nn.Module:
        """The model, its weights drawn at random.

        Its forward takes an image (B, 3, H, W) and gives scores (B, K, h, w) of K classes, or a tuple of such.
        """


@dataclass(frozen=True)
class Model:
    """A model ready to be built.

    Attributes:
        name: as the user gave it.
        build: the model for a factory of upsamplers.
        shapes: of the model's inputs, without the batch, for an image of H x W.
        why_not: why the model cannot take an image of H x W, or None.
        takes_features: its inputs are features inside a network, which need gradients, rather than an image.
    """

    name: str
    build: Callable[[MakeUpsampler], nn.Module]
    shapes: Callable[[int, int], Sequence[tuple[int, int, int]]]
    why_not: Callable[[int, int], str | None]
    takes_features: bool = False


def names() -> tuple[str, ...]:
    """The models that come with the package; none is imported."""
    return tuple(one.replace("_", "-") for one in discovery.modules(__name__))


def check(name: str) -> None:
    """Refuses a name that cannot be a model's, without building anything.

    Raises:
        PlanError: there is no such model, or no such function.
    """
    if ":" in name:
        _function(name)
        return
    match = NAMED.fullmatch(name)
    if match is None or match[1] not in names():
        hint = discovery.nearest(match[1] if match else name, names())
        raise PlanError(f"no model {name!r}; {hint} (or give your own as module:function)")


def get(name: str) -> Model:
    """A model by its name.

    Raises:
        PlanError: there is no such model, or its argument is none.
        MissingPackage: it needs a package that is not installed.
    """
    check(name)
    if ":" in name:
        own = _function(name)
        return Model(name, own, _image, partial(_why_not, name, own))
    match = NAMED.fullmatch(name)
    assert match is not None
    module = discovery.load(__name__, match[1].replace("-", "_"))
    if match[2] is not None:
        return _with_argument(name, module, match[2])
    if not hasattr(module, "build"):
        raise PlanError(f"model {name!r} needs an argument: {getattr(module, 'ABOUT', '')}")
    known = cast(ModelModule, module)
    return Model(name, known.build, _image, partial(_why_not, name, known))


def _with_argument(name: str, module: ModuleType, argument: str) -> Model:
    if not hasattr(module, "parse"):
        raise PlanError(f"model {name.partition('(')[0]!r} takes no argument, {name!r} was given")
    build, shapes = module.parse(argument)
    return Model(name, build, shapes, lambda height, width: None, takes_features=True)


def _image(height: int, width: int) -> Sequence[tuple[int, int, int]]:
    return ((IMAGE_CHANNELS, height, width),)


def _why_not(name: str, asked: object, height: int, width: int) -> str | None:
    least, side = getattr(asked, "LEAST", 1), getattr(asked, "SIDE", 1)
    if min(height, width) < least:
        return f"{name} takes images from {least}x{least} on, not {height}x{width}"
    if height % side or width % side:
        return f"{name} takes images whose sides are whole numbers of times {side}, not {height}x{width}"
    return None


def _function(name: str) -> Callable[[MakeUpsampler], nn.Module]:
    """The function of "module:function" or "file.py:function".

    Raises:
        PlanError: it cannot be imported, or there is none of that name.
    """
    where, _, what = name.rpartition(":")
    try:
        module = _from_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except Exception as problem:
        raise PlanError(f"cannot load model {name!r}: {type(problem).__name__}: {problem}") from problem
    found = getattr(module, what, None)
    if not callable(found):
        raise PlanError(f"model {name!r}: {where} has no function {what!r}; expected one that takes make_upsampler")
    return cast(Callable[[MakeUpsampler], nn.Module], found)


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"upsampler_bench_model_{path.stem}", path.resolve())
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
