"""The figures of a report as files: the same ones in every picture format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from upsampler_bench.formats import _panel, _scatter
from upsampler_bench.formats._figure import DPI
from upsampler_bench.report.parts import Report

# A salt of its own makes the ids in an SVG the same each time.
SETTINGS: dict[Any, Any] = {"svg.hashsalt": "upsampler-bench", "font.family": "DejaVu Sans", "font.size": 6.5}


def files(report: Report, suffix: str) -> dict[str, bytes]:
    """Every figure in the format that the suffix names: panel.png, scatter.png, with the condition where several."""
    with rc_context(SETTINGS):
        return {f"{name}.{suffix}": _bytes(figure, suffix) for name, figure in _figures(report)}


def _figures(report: Report) -> Iterator[tuple[str, Figure]]:
    yield from ((_name("panel", one.slug), _panel.draw(one)) for one in report.panels)
    yield from ((_name("scatter", one.slug), _scatter.draw(one)) for one in report.scatters)


def _name(kind: str, slug: str) -> str:
    return f"{kind}-{slug}" if slug else kind


def _bytes(figure: Figure, suffix: str) -> bytes:
    out = io.BytesIO()
    undated = {"Date": None} if suffix == "svg" else {"Software": None}
    figure.savefig(out, format=suffix, dpi=DPI, metadata=undated)
    return out.getvalue()
