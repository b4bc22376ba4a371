"""Keeping only the inputs of a step for backward, which computes the step again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from upsamplers.functional._torch.plain_layers import is_plain
from upsamplers.functional._torch.plain_operations import needs_plain_operations


def recomputed(step: Callable[..., Tensor], *inputs: Tensor, layers: Iterable[nn.Module] = ()) -> Tensor:
    """step(*inputs), of which backward keeps the inputs alone; second derivatives are supported.

    Layers with hooks or parametrisations, and compiled, exported or traced programs, are not recomputed.

    Args:
        step: without randomness and running statistics.
        inputs: of the step.
        layers: that the step calls.
    """
    layers = [*layers]
    if not torch.is_grad_enabled() or needs_plain_operations() or not is_plain(*layers):
        return step(*inputs)
    # torch.func.functional_call replaces the parameters of layers during its call alone; backward runs later.
    owners = [module for layer in layers for module in layer.modules()]
    parameters = [dict(module._parameters) for module in owners]

    def with_its_parameters(*given: Tensor) -> Tensor:
        with _with_parameters(owners, parameters):
            return step(*given)

    return checkpoint(with_its_parameters, *inputs, use_reentrant=False, preserve_rng_state=False)  # type: ignore[no-any-return]


@contextmanager
def _with_parameters(owners: list[nn.Module], parameters: list[dict[str, nn.Parameter | None]]) -> Iterator[None]:
    """Within this context modules have these parameters."""
    before = [dict(module._parameters) for module in owners]
    changed = [
        index for index, own in enumerate(before) if any(own[name] is not parameters[index].get(name) for name in own)
    ]
    try:
        for index in changed:
            owners[index]._parameters.update(parameters[index])
        yield
    finally:
        for index in changed:
            owners[index]._parameters.update(before[index])
