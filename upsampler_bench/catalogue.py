"""The registered operators as a table: paper, parameters, guide, scales."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

import upsamplers
from upsampler_bench import operators


def table(channels: int, scale: int, plugins: Sequence[str]) -> Table:
    """All operators, with their parameters at these channels and this scale.

    Raises:
        PlanError: a plug-in cannot be loaded.
    """
    operators.load(plugins)
    found = Table("operator", "paper", "guide", "scales", box=None, pad_edge=False)
    found.add_column(f"weights, C={channels} s={scale}", justify="right")
    found.add_column("all", justify="right")
    for name in upsamplers.names():
        spec = upsamplers.get(name)
        scales = ", ".join(map(str, spec.scales)) or "any"
        weights, everything = parameters(name, channels, scale)
        found.add_row(name, spec.paper or "-", "yes" if spec.needs_guide else "no", scales, weights, everything)
    return found


def parameters(name: str, channels: int, scale: int) -> tuple[str, str]:
    """Parameters of two or more dimensions, and all; or a dash and why there are none."""
    try:
        module = upsamplers.create(name, channels, scale=scale)
    except upsamplers.UpsamplerError as refusal:
        return "-", str(refusal)
    weights = sum(one.numel() for one in module.parameters() if one.dim() > 1)
    return f"{weights:,}", f"{sum(one.numel() for one in module.parameters()):,}"
