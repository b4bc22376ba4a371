"""Pictures as files, drawn with matplotlib: bar charts, planes of points and lines, coloured tables, images."""

from __future__ import annotations

import io
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from upsampler_bench.figures import bars, heat, mosaic, plane
from upsampler_bench.figures.frame import DPI
from upsampler_bench.report.parts import Report
from upsampler_bench.report.pictures import Heat, Mosaic, Panel, Picture

# With a salt of our own the ids in an SVG are the same each time. A "$" in a name is no formula.
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "upsampler-bench",
    "font.family": "DejaVu Sans",
    "font.size": 6.5,
    "text.parse_math": False,
}


def files(report: Report, suffix: str) -> dict[str, bytes]:
    """Every picture in the format that the suffix names: panel.png, bubble-1x256x120x120.png, ..."""
    return {f"{stem(picture)}.{suffix}": _bytes(picture, suffix) for picture in report.pictures}


def draw(picture: Picture) -> Figure:
    """The picture as a matplotlib figure."""
    with rc_context(SETTINGS):
        if isinstance(picture, Panel):
            return bars.draw(picture)
        if isinstance(picture, Heat):
            return heat.draw(picture)
        return mosaic.draw(picture) if isinstance(picture, Mosaic) else plane.draw(picture)


def stem(picture: Picture) -> str:
    """The name of a picture's file without its suffix."""
    return f"{picture.name}-{picture.slug}" if picture.slug else picture.name


def _bytes(picture: Picture, suffix: str) -> bytes:
    out = io.BytesIO()
    undated = {"Date": None} if suffix == "svg" else {"Software": None}
    figure = draw(picture)
    with rc_context(SETTINGS):
        figure.savefig(out, format=suffix, dpi=DPI, metadata=undated)
    return out.getvalue()
