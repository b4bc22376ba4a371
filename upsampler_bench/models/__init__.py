"""Models that an upsampler is measured in: one model a file, each given a factory of upsamplers and never a name.

A model's name is its file's with hyphens for underscores ("segformer-b1"), followed by its argument in brackets if it
takes one ("stages(256x16x16/256+256x32x32/256)"). A user's own model is "module:function" or "file.py:function": a
function such as `ModelModule.build`, which may have attributes `MIN_SIDE` and `SIDE_MULTIPLE`.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from torch import nn

from upsampler_bench import discovery
from upsampler_bench.case import IMAGE_CHANNELS, Case
from upsampler_bench.errors import PlanError
from upsamplers import Upsampler, registry

NAME = re.compile(r"([a-z0-9-]+)(?:\(([^()]*)\))?")
Shape = tuple[int, int, int]


class MakeUpsampler(Protocol):
    """Makes the upsampler under test."""

    def __call__(self, channels: int, guide_channels: int | None = None, /) -> Upsampler:
        """One x2 stage of C channels; a guided operator is made for a guide of `guide_channels` (C by default).

        The model calls its `upsample_to(x, feature)`, whatever operator it is: `feature` (B, G, 2H, 2W), or a little
        smaller, is the higher-resolution encoder feature of G channels.
        """


class ModelModule(Protocol):
    """What a model's file has.

    Attributes:
        MIN_SIDE: the smallest side of an image that a training step accepts at batch 1.
        SIDE_MULTIPLE: optional: the image's sides must be multiples of it.
        STAGES: (channels, guide channels) of each upsampler that the model asks for.
        PARAMETERS: their number without those of the upsamplers.
        SCORES: (classes, stride) of each output.
    """

    MIN_SIDE: int
    STAGES: tuple[tuple[int, int], ...]
    PARAMETERS: int
    SCORES: tuple[tuple[int, int], ...]

    def build(self, make_upsampler: MakeUpsampler) -> nn.Module:
        """The model, with random weights.

        Its forward takes an image (B, 3, H, W) and returns scores (B, K, h, w) of K classes, or a tuple of such.
        """


@dataclass(frozen=True)
class Model:
    """A model ready to be built.

    Attributes:
        name: as the user gave it.
        build: the model for a factory of upsamplers.
        features: shapes of its inputs without the batch if they are features inside a network; empty: an image.
        min_side: the smallest side of an image that it accepts.
        side_multiple: the sides of an image must be multiples of it.
    """

    name: str
    build: Callable[[MakeUpsampler], nn.Module]
    features: tuple[Shape, ...] = ()
    min_side: int = 1
    side_multiple: int = 1

    def shapes(self, height: int, width: int) -> tuple[Shape, ...]:
        """The shapes of its inputs, without the batch, for an image of H x W."""
        return self.features or ((IMAGE_CHANNELS, height, width),)

    def why_not(self, height: int, width: int) -> str | None:
        """Why the model cannot take an image of H x W, or None."""
        if min(height, width) < self.min_side:
            return f"{self.name} takes images of at least {self.min_side}x{self.min_side} pixels, not {height}x{width}"
        if height % self.side_multiple or width % self.side_multiple:
            return f"{self.name} takes images whose sides are multiples of {self.side_multiple}, not {height}x{width}"
        return None


def names() -> tuple[str, ...]:
    """The models that come with the package; none is imported."""
    return tuple(name.replace("_", "-") for name in discovery.modules(__name__))


def check(name: str) -> None:
    """Refuses a name that cannot be a model's, without importing those of the package.

    Raises:
        PlanError: there is no such model, or no such function.
    """
    if ":" in name:
        _function(name)
        return
    match = NAME.fullmatch(name)
    if match is None or match[1] not in names():
        hint = discovery.nearest(match[1] if match else name, names())
        raise PlanError(f"no model {name!r}; {hint} (or give your own as module:function)")


def check_in(case: Case) -> bool:
    """`check` of a case's model, true if it is one: a question for `isolated.ask`."""
    check(case.model)
    return True


def get(name: str) -> Model:
    """A model by its name.

    Raises:
        PlanError: there is no such model, or its argument is wrong.
        MissingPackage: it needs a package that is not installed.
    """
    if ":" in name:
        function = _function(name)
        return _image_model(name, function, function)
    check(name)
    file, bracket, argument = name.removesuffix(")").partition("(")
    module = discovery.load(__name__, file.replace("-", "_"))
    takes_argument = hasattr(module, "parse")
    if bracket and not takes_argument:
        raise PlanError(f"model {file!r} takes no argument, but {name!r} has one")
    if takes_argument and not bracket:
        raise PlanError(f"model {file!r} needs an argument: {module.ARGUMENT}")
    if takes_argument:
        build, features = module.parse(argument)
        return Model(name, build, features)
    return _image_model(name, module.build, module)


def _image_model(name: str, build: Callable[[MakeUpsampler], nn.Module], source: object) -> Model:
    return Model(name, build, (), getattr(source, "MIN_SIDE", 1), getattr(source, "SIDE_MULTIPLE", 1))


def _function(name: str) -> Callable[[MakeUpsampler], nn.Module]:
    """The function of "module:function" or "file.py:function".

    Raises:
        PlanError: it cannot be imported, or there is none of that name.
    """
    source, _, function_name = name.rpartition(":")
    try:
        module = _from_file(Path(source)) if source.endswith(".py") else importlib.import_module(source)
    except Exception as problem:
        raise PlanError(f"cannot load model {name!r}: {type(problem).__name__}: {problem}") from problem
    function = getattr(module, function_name, None)
    if not callable(function):
        raise PlanError(
            f"model {name!r}: {source} has no function {function_name!r}; expected one that takes make_upsampler"
        )
    return cast(Callable[[MakeUpsampler], nn.Module], function)


def _from_file(path: Path) -> ModuleType:
    """The module of a file, imported once; a plug-in's is imported already."""
    name = registry.file_module(path)
    if name not in sys.modules:
        registry.import_file(path, name)
    return sys.modules[name]
