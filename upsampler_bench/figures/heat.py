"""A table of numbers with coloured cells."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from upsampler_bench.figures.frame import INK, SMALL, TEXT, framed
from upsampler_bench.report.pictures import Heat
from upsampler_bench.text import shortened

# Inches: of a cell, of a letter of a name, and of a line of a heading.
WIDTH, HEIGHT, LETTER, LINE = 0.62, 0.165, 0.065, 0.11
# From white to dark; the levels at which letters are white.
COLOURS = ("#ffffff", "#fdd0a2", "#f16913", "#7f2704")
DARK = 0.8
# Letters of a line of a heading.
LETTERS = 12
# Of a name, in letters.
LONGEST = 28


def draw(heat: Heat) -> Figure:
    """The table, a column for each number."""
    heads = [textwrap.fill(head, LETTERS, break_long_words=False) for head in heat.columns]
    lines = max(head.count("\n") + 1 for head in heads)
    names = [shortened(name, LONGEST) for name, _ in heat.rows]
    width = LETTER * max(map(len, names)) + WIDTH * len(heads)
    figure = framed(heat, width, HEIGHT * len(heat.rows) + LINE * lines + 0.1)
    axes = figure.subplots()
    levels = np.array([[np.nan if level is None else level for _, level in cells] for _, cells in heat.rows])
    colours = LinearSegmentedColormap.from_list("departure", COLOURS)
    axes.imshow(np.ma.masked_invalid(levels), cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for row, (_, cells) in enumerate(heat.rows):
        for column, (text, level) in enumerate(cells):
            ink = "white" if level is not None and level > DARK else INK
            axes.text(column, row, text, size=SMALL, color=ink, ha="center", va="center")
    axes.set_xticks(range(len(heads)), heads, size=SMALL, color=INK)
    axes.set_yticks(range(len(heat.rows)), names, size=TEXT, color=INK)
    for (name, _), label in zip(heat.rows, axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if name == heat.baseline else "normal")
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False, pad=2)
    axes.spines[:].set_visible(False)
    return figure
