"""Modules for engines that lack a node: the same mathematics in nodes that every engine has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from upsamplers.errors import Unsupported
from upsamplers.functional._torch.gathered_samples import GRID_SAMPLE, gathered_samples


def exportable(module: nn.Module, *, without: str) -> nn.Module:
    """A module that computes the same, to rounding, and exports to ONNX without a node that an engine lacks.

    Example:
        torch.onnx.export(upsamplers.exportable(up, without="GridSample"), (x,), "up.onnx", dynamo=True)

    Args:
        module: an operator, or a model; it is shared, not copied.
        without: the ONNX name of the node. "GridSample": points are read by Gather, four rows of all channels for each.

    Returns:
        A module with the same inputs and outputs.

    Raises:
        Unsupported: there is no such form; at the call, if the module samples in a way that has none.
    """
    if without != GRID_SAMPLE:
        raise Unsupported(f"no form without {without!r}; expected {GRID_SAMPLE!r}")
    return _Without(module)


class _Without(nn.Module):
    """Calls a module with grid_sample replaced, whoever calls it: eagerly, exported or traced."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.training = module.training

        @wraps(module.forward)  # exporters read the names of the inputs from its signature
        def forward(*inputs: Any, **named: Any) -> Any:
            with _GatheredSamples():
                return module(*inputs, **named)

        self.forward = forward

    def __reduce__(self) -> tuple[type[nn.Module], tuple[nn.Module]]:
        """Copies and pickles are of the module, which `forward` is bound to."""
        return _Without, (self.module,)


class _GatheredSamples(TorchFunctionMode):
    """Replaces grid_sample."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (torch.grid_sampler, torch.grid_sampler_2d, torch.grid_sampler_3d):
            raise Unsupported(f"no form without {GRID_SAMPLE} of {func.__name__}; call F.grid_sample")
        replaced = gathered_samples if func is F.grid_sample else func
        return replaced(*args, **(kwargs or {}))
