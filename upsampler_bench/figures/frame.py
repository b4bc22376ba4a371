"""A figure's frame: its title above, its caption below, one size of letters; all by the object API, no pyplot."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

DPI = 200
INK, FAINT, GRID = "#222222", "#666666", "#e4e4e4"
TITLE, TEXT, SMALL = 8.0, 6.5, 6.0
LINE = 0.125


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the drawing; sizes in inches."""

    width: float
    height: float
    title: str
    subtitle: str
    caption: str = ""


def framed(frame: Frame) -> Figure:
    """An empty figure with its title and caption; its axes share the room between."""
    title = textwrap.wrap(frame.title, int(frame.width * 14))
    small = int(frame.width * 21)
    subtitle, caption = (textwrap.wrap(one, small, break_on_hyphens=False) for one in (frame.subtitle, frame.caption))
    above, below = LINE * (1.35 * len(title) + len(subtitle)) + 0.08, LINE * len(caption) + 0.05 * bool(caption)
    height = frame.height + above + below
    inside = (0.0, below / height, 1.0, 1 - (above + below) / height)
    layout = ConstrainedLayoutEngine(rect=inside, w_pad=0.03, h_pad=0.04)
    figure = Figure(figsize=(frame.width, height), dpi=DPI, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    left, top = 0.06 / frame.width, 1 - 0.06 / height
    figure.text(left, top, "\n".join(title), size=TITLE, weight="bold", color=INK, va="top", parse_math=False)
    under = top - LINE * 1.35 * len(title) / height
    figure.text(left, under, "\n".join(subtitle), size=SMALL, color=FAINT, va="top", parse_math=False)
    figure.text(left, 0.04 / height, "\n".join(caption), size=SMALL, color=FAINT, va="bottom", parse_math=False)
    return figure


def settle(figure: Figure) -> None:
    """Fixes the layout, so that what is placed by hand afterwards stays where it is in every file format."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def plain(axes: Axes) -> None:
    """Takes away what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.spines[["left", "bottom"]].set_linewidth(0.6)
    axes.tick_params(labelsize=SMALL, width=0.6, length=2, color=FAINT, labelcolor=INK, pad=2)
    axes.tick_params(which="minor", length=0)
    axes.set_axisbelow(True)
