"""The pictures as SVG."""

from __future__ import annotations

from upsampler_bench.figures import draw
from upsampler_bench.report.parts import Report

ABOUT = "every picture (panel.svg, ...)"


def files(report: Report) -> dict[str, bytes]:
    """A file per picture."""
    return draw.files(report, "svg")
