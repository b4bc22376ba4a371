"""A figure's frame: its title above, its caption below, one size of letters; by the object API, without pyplot."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from upsampler_bench.report.pictures import Picture

DPI = 200
INK, FAINT, GRID = "#222222", "#666666", "#e4e4e4"
# Sizes of letters in points, and the height of a line of text in inches.
TITLE, TEXT, SMALL = 8.0, 6.5, 6.0
LINE = 0.125


def framed(picture: Picture, width: float, height: float, legend: float = 0.0) -> Figure:
    """An empty figure with the picture's title and caption; its axes share `width` × `height` inches between.

    A legend of `legend` inches has room above the axes.
    """
    title = textwrap.wrap(picture.title, int(width * 14))
    subtitle = textwrap.wrap(picture.subtitle, int(width * 21), break_on_hyphens=False)
    caption = textwrap.wrap(picture.caption, int(width * 21), break_on_hyphens=False)
    above = LINE * (1.35 * len(title) + len(subtitle)) + 0.08
    below = LINE * len(caption) + (0.05 if caption else 0.0)
    total = height + legend + above + below
    layout = ConstrainedLayoutEngine(rect=(0.0, below / total, 1.0, height / total), w_pad=0.03, h_pad=0.04)
    figure = Figure(figsize=(width, total), dpi=DPI, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    left, top = 0.06 / width, 1 - 0.06 / total
    figure.text(left, top, "\n".join(title), size=TITLE, weight="bold", color=INK, va="top")
    under = top - LINE * 1.35 * len(title) / total
    figure.text(left, under, "\n".join(subtitle), size=SMALL, color=FAINT, va="top")
    figure.text(left, 0.04 / total, "\n".join(caption), size=SMALL, color=FAINT, va="bottom")
    return figure


def plain(axes: Axes) -> None:
    """Takes away what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.spines[["left", "bottom"]].set_linewidth(0.6)
    axes.tick_params(labelsize=SMALL, width=0.6, length=2, color=FAINT, labelcolor=INK, pad=2)
    axes.tick_params(which="minor", length=0)
    axes.set_axisbelow(True)
