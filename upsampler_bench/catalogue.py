"""The registered operators as a table: paper, what it needs, scales, parameters."""

from __future__ import annotations

import torch
from rich.table import Table

import upsamplers


def table(channels: int, scale: int) -> Table:
    """All operators, with their parameters at these channels and this scale, for a terminal."""
    found = Table(box=None, pad_edge=False)
    found.add_column("operator", no_wrap=True)
    for name in ("paper", "needs", "scales"):
        found.add_column(name)
    found.add_column(f"weights, C={channels} s={scale}", justify="right")
    found.add_column("all", justify="right")
    for name in upsamplers.names():
        found.add_row(name, *_cells(name, channels, scale))
    return found


def markdown(channels: int = 256, scale: int = 2) -> str:
    """All operators as a Markdown table."""
    lines = ["| operator | paper | needs | scales | weights | parameters |", f"|{' :-- |' * 4} --: | --: |"]
    lines += (f"| {' | '.join((f'`{name}`', *_cells(name, channels, scale)))} |" for name in upsamplers.names())
    return "\n".join(lines)


def _cells(name: str, channels: int, scale: int) -> tuple[str, ...]:
    spec = upsamplers.get(name)
    scales = ", ".join(map(str, spec.scales)) or "any"
    needs = [*(["guide"] if spec.needs_guide else []), *([] if "cpu" in spec.devices else map(str.upper, spec.devices))]
    return spec.paper or "-", ", ".join(needs) or "-", scales, *parameters(name, channels, scale)


def parameters(name: str, channels: int, scale: int) -> tuple[str, str]:
    """Parameters of two or more dimensions, and all; or a dash and why there are none."""
    reference = upsamplers.get(name).reference
    try:
        with torch.device("meta"):  # a twin's are its reference's, also where triton is missing
            module = upsamplers.create(reference or name, channels, scale=scale)
    except (upsamplers.UpsamplerError, RuntimeError, TypeError, ValueError) as refusal:
        return "-", str(refusal)
    weights = sum(one.numel() for one in module.parameters() if one.dim() > 1)
    return f"{weights:,}", f"{sum(one.numel() for one in module.parameters()):,}"
