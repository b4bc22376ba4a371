"""One page for a browser, without a network: tables to sort and filter, a chooser, interactive pictures."""

from __future__ import annotations

from upsampler_bench.formats.html import page
from upsampler_bench.report.parts import Report

FILE = "report.html"


def files(report: Report) -> dict[str, bytes]:
    """report.html."""
    return {FILE: show(report).encode()}


def show(report: Report) -> str:
    """The page, which contains its style, scripts, data and the drawing library."""
    return page.page(report)
