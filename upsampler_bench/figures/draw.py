"""Pictures as files, drawn with matplotlib: bar charts, planes of points and lines, coloured tables, images."""

from __future__ import annotations

import io
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from upsampler_bench.figures import bars, heat, mosaic, plane
from upsampler_bench.figures.frame import DPI
from upsampler_bench.figures.palette import Colours, colours
from upsampler_bench.report.parts import Report
from upsampler_bench.report.pictures import Heat, Mosaic, Panel, Picture

# With a salt of our own the ids in an SVG are the same each time. A "$" in a name is no formula.
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "upsampler-bench",
    "font.family": "DejaVu Sans",
    "font.size": 6.5,
    "text.parse_math": False,
    # Letters as TrueType, which journals accept.
    "pdf.fonttype": 42,
}
# What would differ from one drawing to the next, or name the library, is left out.
DATED = {"png": ("Software",), "svg": ("Date",), "pdf": ("CreationDate", "Creator", "Producer")}


def files(report: Report, suffix: str) -> dict[str, bytes]:
    """Every picture in the format that the suffix names: panel.png, bubble-1x256x120x120.png, ..."""
    given = colours(report)
    return {f"{stem(picture)}.{suffix}": _bytes(picture, given, suffix) for picture in report.pictures}


def draw(picture: Picture, given: Colours) -> Figure:
    """The picture as a matplotlib figure, with the colours of its report."""
    with rc_context(SETTINGS):
        if isinstance(picture, Panel):
            return bars.draw(picture, given)
        if isinstance(picture, Heat):
            return heat.draw(picture)
        return mosaic.draw(picture) if isinstance(picture, Mosaic) else plane.draw(picture, given)


def stem(picture: Picture) -> str:
    """The name of a picture's file without its suffix."""
    return f"{picture.name}-{picture.slug}" if picture.slug else picture.name


def _bytes(picture: Picture, given: Colours, suffix: str) -> bytes:
    out = io.BytesIO()
    figure = draw(picture, given)
    with rc_context(SETTINGS):
        figure.savefig(out, format=suffix, dpi=DPI, metadata=dict.fromkeys(DATED[suffix]))
    return out.getvalue()
