"""The figures of a report as files, each with its numbers beside it: the same ones in every picture format."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from upsampler_bench.figures import curves, panel, roofline, scatter
from upsampler_bench.figures.frame import DPI
from upsampler_bench.report.parts import Report
from upsampler_bench.report.pictures import Curves, Panel, Picture, Roofline, Scatter

# A salt of its own makes the ids in an SVG the same each time.
SETTINGS: dict[Any, Any] = {"svg.hashsalt": "upsampler-bench", "font.family": "DejaVu Sans", "font.size": 6.5}
DRAWN: Mapping[type, Callable[[Any], Figure]] = {
    Panel: panel.draw,
    Scatter: scatter.draw,
    Curves: curves.draw,
    Roofline: roofline.draw,
}


def files(report: Report, suffix: str) -> dict[str, bytes]:
    """Every figure in the format that the suffix names: panel.png, and so on."""
    with rc_context(SETTINGS):
        return {f"{stem(one)}.{suffix}": _bytes(DRAWN[type(one)](one), suffix) for one in report.pictures}


def stem(picture: Picture) -> str:
    """The name of a picture's file without its suffix."""
    return f"{picture.name}-{picture.slug}" if picture.slug else picture.name


def _bytes(figure: Figure, suffix: str) -> bytes:
    out = io.BytesIO()
    undated = {"Date": None} if suffix == "svg" else {"Software": None}
    figure.savefig(out, format=suffix, dpi=DPI, metadata=undated)
    return out.getvalue()
