"""The registered operators as a table: paper, what it needs, scales, parameters."""

from __future__ import annotations

import torch
from rich.console import Group
from rich.table import Table

import upsamplers

REFUSED = "-"
# So that no author's name is cut.
LONGEST_NAME = 14


def table(channels: int, scale: int) -> Group:
    """All operators, with their parameters at these channels and this scale, for a terminal; below, who refuses."""
    found = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    found.add_column("operator", no_wrap=True)
    found.add_column("paper", min_width=LONGEST_NAME)
    for name in ("needs", "scales"):
        found.add_column(name)
    found.add_column(f"weights, C={channels} s={scale}", justify="right")
    found.add_column("all", justify="right")
    refusals = []
    for name in upsamplers.names():
        *told, weights, everything = _cells(name, channels, scale)
        if weights == REFUSED:
            refusals.append(f"{name}: {everything}")
            everything = REFUSED
        found.add_row(name, *told, weights, everything)
    return Group(found, *(["", *refusals] if refusals else []))


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
        return REFUSED, str(refusal)
    weights = sum(one.numel() for one in module.parameters() if one.dim() > 1)
    return f"{weights:,}", f"{sum(one.numel() for one in module.parameters()):,}"
