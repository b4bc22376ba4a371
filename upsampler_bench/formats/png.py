"""The pictures as PNG."""

from __future__ import annotations

from upsampler_bench.figures import draw
from upsampler_bench.report.parts import Report

ABOUT = "every picture (panel.png, ...)"


def files(report: Report) -> dict[str, bytes]:
    """A file per picture."""
    return draw.files(report, "png")
