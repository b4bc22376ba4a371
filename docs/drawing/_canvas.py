"""A figure as a grid of square panels, and its bytes."""

from __future__ import annotations

import io
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

COLUMNS, PANEL, GAP, MARGIN, HEAD = 6, 1.115, 0.12, 0.08, 0.22
DPI = 200


class Canvas:
    """Rows of six square panels, each with room for a title."""

    def __init__(self, rows: int) -> None:
        # Whole pixels, so that panels of one row are cut alike.
        wide = 2 * MARGIN + COLUMNS * PANEL + (COLUMNS - 1) * GAP
        tall = 2 * MARGIN + rows * (PANEL + HEAD)
        self.figure = Figure(figsize=tuple(ceil(one * DPI) / DPI for one in (wide, tall)), dpi=DPI, facecolor="white")

    def panel(self, row: int, column: float, span: int = 1) -> Axes:
        """The panel at a row and a column, counted from the upper left."""
        wide, tall = self.figure.get_size_inches()
        left = MARGIN + column * (PANEL + GAP)
        bottom = tall - MARGIN - (row + 1) * (PANEL + HEAD)
        width = span * PANEL + (span - 1) * GAP
        return self.figure.add_axes((left / wide, bottom / tall, width / wide, PANEL / tall))

    def png(self) -> bytes:
        """The figure as a PNG, which says nothing of when or by what it was made."""
        out = io.BytesIO()
        self.figure.savefig(out, format="png", dpi=DPI)
        # Few colours make a small file; chosen to be near every colour, also the rare ones.
        few = (
            Image.open(out).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
        )
        packed = io.BytesIO()
        few.save(packed, format="png", optimize=True)
        return packed.getvalue()
