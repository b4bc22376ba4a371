"""What the registry knows, as plain data: names for a plan, facts for a report, pickles for the measuring process."""

from __future__ import annotations

import contextlib
import pickle
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cloudpickle
import torch

import upsamplers
from upsampler_bench.case import Case
from upsampler_bench.errors import PlanError
from upsampler_bench.results import UpsamplerInfo
from upsamplers import registry

VARIANT = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")


def load(plugins: Sequence[str], specs: bytes = b"") -> None:
    """Loads plug-ins, and operators that the caller pickled.

    Raises:
        PlanError: a plug-in cannot be loaded.
    """
    try:
        for plugin in plugins:
            upsamplers.load_plugin(plugin)
    except upsamplers.UpsamplerError as problem:
        raise PlanError(str(problem)) from problem
    for name, spec in (pickle.loads(specs) if specs else {}).items():
        registry.add(_unpickled(name, spec))


def add_variants(names: Iterable[str]) -> None:
    """Registers those names that are an operator with options, such as "dysample[groups=1,style=pl]".

    Raises:
        PlanError: there is no such operator or option, or one is not written as key=value.
    """
    for name in names:
        match = VARIANT.fullmatch(name)
        if match and name not in upsamplers.names() and match[1] in upsamplers.names():
            spec, options = upsamplers.get(match[1]), _options(name, match[2])
            own = [option for option in options if option not in ("step", "guide_channels")]
            try:
                registry.require_options(spec, own)
            except upsamplers.Unsupported as problem:
                raise PlanError(str(problem)) from None
            registry.add(replace(spec, name=name, options={**spec.options, **options}))


def _options(name: str, text: str) -> dict[str, object]:
    pairs = [option.partition("=") for option in text.split(",")]
    if not all(key.isidentifier() and value for key, _, value in pairs):
        raise PlanError(f"upsampler {name!r}: expected options as key=value,key=value in the brackets")
    return {key: _value(value) for key, _, value in pairs}


def _value(text: str) -> object:
    """A number, true or false if it reads as one, else the text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def names(device: str = "") -> tuple[str, ...]:
    """Every registered name, in order; of a device such as "cuda:0", those that run on its kind."""
    kind = device.partition(":")[0]
    return tuple(name for name in upsamplers.names() if not kind or kind in upsamplers.get(name).devices)


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator as plain data; attributes as in `upsamplers.Spec`.

    Attributes:
        backends: that it has beside plain PyTorch.
        guide_is_image: whether it is guided by an image, for features of a frozen backbone.
    """

    name: str
    paper: str
    needs_guide: bool
    scales: tuple[int, ...]
    devices: tuple[str, ...]
    backends: tuple[str, ...]
    guide_is_image: bool

    def runs_on(self, device: str) -> bool:
        """Whether it runs on a device such as "cuda:0"."""
        return device.partition(":")[0] in self.devices

    @property
    def info(self) -> UpsamplerInfo:
        """What a report shows about it."""
        return UpsamplerInfo(self.name, self.paper, self.needs_guide)


def registered() -> tuple[Operator, ...]:
    """Every operator that this process knows, in order."""
    specs = map(upsamplers.get, upsamplers.names())
    return tuple(
        Operator(
            spec.name,
            spec.paper,
            spec.needs_guide,
            spec.scales,
            spec.devices,
            tuple(spec.cls.backends),
            spec.cls.guide_is_image,
        )
        for spec in specs
    )


def registered_for(case: Case) -> tuple[Operator, ...]:
    """`registered`, whatever the case: a question for `isolated.ask`."""
    return registered()


@dataclass(frozen=True, slots=True)
class Parameters:
    """The number of an operator's parameters.

    Attributes:
        weights: those of two or more dimensions.
        all: with biases and norms.
        refusal: why it has none at these channels and scale; else empty.
    """

    weights: int = 0
    all: int = 0
    refusal: str = ""


def parameters(case: Case) -> Parameters:
    """The parameters at a case's channels and scale: a question for `isolated.ask`."""
    try:
        with torch.device("meta"):
            module = upsamplers.create(case.upsampler, case.channels, scale=case.scale)
    except Exception as refusal:  # whatever a constructor raises
        return Parameters(refusal=str(refusal))
    sizes = [(parameter.dim(), parameter.numel()) for parameter in module.parameters()]
    return Parameters(sum(size for dimensions, size in sizes if dimensions > 1), sum(size for _, size in sizes))


def pickled(names: Sequence[str]) -> bytes:
    """The specs among these that only the calling process knows: defined in a script, a notebook or a shell.

    What is importable travels by name, the rest by value; in place of what cannot be pickled goes the reason.
    """
    specs = [upsamplers.get(name) for name in upsamplers.names() if name in names]
    local = [spec for spec in specs if not spec.cls.__module__.startswith(("upsamplers.", registry.FILE_PLUGIN))]
    return pickle.dumps({spec.name: _pickled(spec) for spec in local}) if local else b""


def _pickled(spec: upsamplers.Spec) -> bytes:
    try:
        return bytes(cloudpickle.dumps(spec))
    except Exception as problem:  # whatever a class or what it refers to raises
        return pickle.dumps(_unsendable(spec.name, problem))


def _unpickled(name: str, spec: bytes) -> upsamplers.Spec:
    try:
        unpickled: upsamplers.Spec = pickle.loads(spec)
    except Exception as problem:  # whatever the import of a class's module raises here
        return _unsendable(name, problem)
    return unpickled


class Unsendable(upsamplers.Upsampler):
    """Stands for an operator that cannot be sent to a measuring process, so that its row alone fails."""

    def __init__(self, channels: int, *, scale: int = 2, reason: str) -> None:
        raise pickle.PicklingError(reason)


def _unsendable(name: str, problem: Exception) -> upsamplers.Spec:
    reason = (
        f"{name} cannot be sent to a measuring process ({type(problem).__name__}: {problem}); "
        "register it in a file of its own, and name that as a plug-in"
    )
    return upsamplers.Spec(name, Unsendable, {"reason": reason})
