"""Lets a model run, and leaves it as it was found."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

# The kinds of device that have a random state for each index.
SEEDED = ("cuda", "xpu")


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Within, the model is in eval mode and without gradients; after, it and the random states are as before.

    Every module's attributes are put back, those of its dicts (buffers, hooks) too, and the buffers' values. The
    training flags are set one by one: an overridden `train()` may do more than set them.
    """
    # What is scripted or has yet to learn its sizes does not let its attributes be put back.
    plain = [one for one in model.modules() if not isinstance(one, torch.jit.ScriptModule | LazyModuleMixin)]
    attributes = [(vars(one), dict(vars(one))) for one in plain]
    dicts = [(one, dict(one)) for _, saved in attributes for one in saved.values() if isinstance(one, dict)]
    flags = [(one, one.training) for one in model.modules()]
    values = [(one, one.detach().clone()) for one in model.buffers()]
    with _random_states(model), torch.no_grad():
        try:
            for module, _ in flags:
                module.training = False
            yield
        finally:
            for live, saved in (*attributes, *dicts):
                live.clear()
                live.update(saved)
            for module, training in flags:
                module.training = training
            for tensor, value in values:
                _restore(tensor, value)


def _restore(tensor: Tensor, value: Tensor) -> None:
    # An untouched buffer is not written to: a graph that holds it may still be run backward.
    if not tensor.is_meta and not torch.equal(tensor, value):
        tensor.copy_(value)


@contextmanager
def _random_states(model: nn.Module) -> Iterator[None]:
    python, numpy = random.getstate(), _numpy_random()
    of_numpy = numpy.get_state() if numpy else None
    with ExitStack() as forked:
        for kind, indices in _accelerators(model).items():
            forked.enter_context(torch.random.fork_rng(indices, device_type=kind))
        try:
            yield
        finally:
            random.setstate(python)
            if numpy:
                numpy.set_state(of_numpy)


def _numpy_random() -> Any:
    """NumPy's random module, where the program has loaded NumPy."""
    return getattr(sys.modules.get("numpy"), "random", None)


def _accelerators(model: nn.Module) -> dict[str, list[int]]:
    """The indices of the devices that the model lies on, by kind; the CPU's state is forked along with any."""
    indices: dict[str, set[int]] = {"cpu": set()}
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.index is not None and tensor.device.type in SEEDED:
            indices.setdefault(tensor.device.type, set()).add(tensor.device.index)
    return {kind: sorted(found) for kind, found in indices.items()}
