"""Images in rows and columns: as one sheet of pixels, and that with its texts as a figure."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from upsampler_bench.figures.frame import INK, SMALL, framed
from upsampler_bench.report.pictures import Mosaic
from upsampler_bench.results import Raster
from upsampler_bench.text import shortened

# Inches: the side of a cell, of one with words below, and of the names where rows have some.
CELL, WITH_TEXT, NAMES = 0.5, 0.74, 1.0
# Of a tile's side: between tiles, and for each line of words below.
GAP, BELOW = 0.06, 0.2
# Of a line below a tile, and of one beside a row, in letters; a name has so many lines.
BELOW_TILE, BESIDE_ROW, MOST_LINES = 14, 18, 3


def draw(mosaic: Mosaic) -> Figure:
    """The sheet, with the names of rows at its left."""
    pixels, ratio = sheet(mosaic)
    rows, names = len(mosaic.rows), NAMES if any(name for name, _ in mosaic.rows) else 0.1
    cell = WITH_TEXT if _lines(mosaic) else CELL
    figure = framed(mosaic, names + cell * mosaic.columns, cell * ratio * rows + 0.1)
    axes = figure.subplots()
    extent = (0.0, float(mosaic.columns), float(rows), 0.0)
    axes.imshow(pixels, extent=extent, interpolation="nearest", aspect=ratio)
    for row, (_, tiles) in enumerate(mosaic.rows):
        for column, tile in enumerate(tiles):
            if tile.text:
                place = column + 0.5 - GAP / 2, row + 1 - GAP / 2
                axes.text(*place, _in_lines(tile.text, BELOW_TILE), size=SMALL, color=INK, ha="center", va="bottom")
    axes.set_yticks(
        [row + 0.5 - GAP / 2 for row in range(rows)], [_in_lines(name, BESIDE_ROW) for name, _ in mosaic.rows]
    )
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=INK, pad=2)
    axes.spines[:].set_visible(False)
    return figure


def sheet(mosaic: Mosaic) -> tuple[np.ndarray[Any, Any], float]:
    """All tiles on one image (height, width, 4), transparent between them, and a cell's height over its width."""
    rasters = [tile.raster for _, tiles in mosaic.rows for tile in tiles if tile.raster]
    height, width = (max(getattr(raster, side) for raster in rasters) for side in ("height", "width"))
    across = width + max(1, round(GAP * width))
    down = height + max(1, round((GAP + BELOW * _lines(mosaic)) * height))
    pixels = np.zeros((down * len(mosaic.rows), across * mosaic.columns, 4), np.uint8)
    for row, (_, tiles) in enumerate(mosaic.rows):
        for column, tile in enumerate(tiles):
            if tile.raster is not None:
                top, left = down * row, across * column
                pixels[top : top + tile.raster.height, left : left + tile.raster.width] = _opaque(tile.raster)
    return pixels, down / across


def _in_lines(text: str, letters: int) -> str:
    """A text in lines of so many letters; of a longer line up to three, in which wide letters have room."""
    lines = []
    for line in text.splitlines():
        each = letters - 1 if len(line) > letters else letters
        short = shortened(line, MOST_LINES * each)
        lines += [short[start : start + each] for start in range(0, len(short), each)]
    return "\n".join(lines)


def _lines(mosaic: Mosaic) -> int:
    """How many lines of words there are below tiles."""
    texts = [_in_lines(tile.text, BELOW_TILE) for _, tiles in mosaic.rows for tile in tiles if tile.text]
    return max((text.count("\n") + 1 for text in texts), default=0)


def _opaque(raster: Raster) -> np.ndarray[Any, Any]:
    """A raster as red, green, blue and opacity."""
    levels = np.frombuffer(raster.bytes, np.uint8).reshape(raster.height, raster.width, raster.channels)
    colours = np.broadcast_to(levels, (raster.height, raster.width, 3))
    return np.concatenate([colours, np.full((raster.height, raster.width, 1), 255, np.uint8)], axis=2)
