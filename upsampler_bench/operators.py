"""What the registry knows, as plain data: names for a plan, facts for a report, pickles for the measuring process."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import cloudpickle

import upsamplers
from upsampler_bench.errors import PlanError
from upsampler_bench.results import UpsamplerInfo
from upsamplers import registry


def load(plugins: Sequence[str], specs: bytes = b"") -> None:
    """Loads plug-ins, and operators that the caller pickled.

    Raises:
        PlanError: a plug-in cannot be loaded.
    """
    try:
        for where in plugins:
            upsamplers.load_plugin(where)
    except upsamplers.UpsamplerError as problem:
        raise PlanError(str(problem)) from problem
    for spec in pickle.loads(specs) if specs else ():
        registry.add(spec)


def names() -> tuple[str, ...]:
    """Every registered name, in order."""
    return upsamplers.names()


def info(name: str) -> UpsamplerInfo:
    """What a report says of an operator."""
    spec = upsamplers.get(name)
    return UpsamplerInfo(name, spec.paper, spec.reference, spec.needs_guide)


def pickled(names: Sequence[str]) -> bytes:
    """The specs among these that only the calling process knows: defined in a script, a notebook or a shell.

    What is importable travels by name, the rest by value.
    """
    own = [upsamplers.get(name) for name in names]
    own = [spec for spec in own if not spec.cls.__module__.startswith(("upsamplers.", registry.FILE_PLUGIN))]
    return cloudpickle.dumps(own) if own else b""
