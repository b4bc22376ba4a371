"""The figures as SVG."""

from __future__ import annotations

from upsampler_bench.errors import PlanError
from upsampler_bench.figures import plots
from upsampler_bench.report.parts import Report

ABOUT = "every figure, and its numbers beside it (panel.svg and panel.csv, ...)"


def files(report: Report) -> dict[str, bytes]:
    """A figure a file, and its numbers as another."""
    return plots.files(report, "svg")


def show(report: Report) -> str:
    """Pictures are not printed.

    Raises:
        PlanError: always.
    """
    raise PlanError("svg draws pictures, which are written into a folder and not printed")
