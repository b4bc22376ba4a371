"""One page for a browser that asks nothing of a network: tables to sort and filter, pictures that tell numbers."""

from __future__ import annotations

from upsampler_bench.formats.html import page
from upsampler_bench.report.parts import Report

ABOUT = "one page to explore in a browser, offline too (report.html)"
FILE = "report.html"


def files(report: Report) -> dict[str, bytes]:
    """report.html."""
    return {FILE: show(report).encode()}


def show(report: Report) -> str:
    """The page, whole: style, scripts, data and the drawing library stand in it."""
    return page.page(report)
