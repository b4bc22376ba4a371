"""The figure of one section: the scene above, and a row for each operator below."""

from __future__ import annotations

import torch
from _canvas import COLUMNS, Canvas
from _key import draw_key
from _panels import FAINT, around, field, grid, pixel_frame, reading, scene, sums
from _reading import Pixel, Reader, Reading, middle, reader
from _scene import SCALE, SIDE, TALL, Scenes, carried
from _sections import FigureOf
from _training import trained, upsampled
from matplotlib.axes import Axes

from upsampler_bench.figures.palette import colour

# The marked output pixels: their letter, what they are, (row, column), and where the letter stands beside them.
MARKED: tuple[tuple[str, str, Pixel, tuple[float, float]], ...] = (
    ("A", "inside", (14, 14), (0.95, 0.0)),
    ("B", "edge, inside", (10, 7), (0.95, 0.0)),
    ("C", "edge, outside", (11, 6), (-0.95, 0.0)),
    ("D", "outside", (7, 9), (-0.95, 0.0)),
)
EDGE = MARKED[1][2]


def draw(what: FigureOf, scenes: Scenes) -> bytes:
    """The figure as a PNG."""
    canvas = Canvas(1 + len(what.operators))
    shown = [("input x", carried(scenes.x), SIDE), ("target", scenes.target, TALL)]
    if what.guided:
        shown.insert(1, ("guide", carried(scenes.guide), TALL))
    for column, (title, image, side) in enumerate(shown):
        axes = canvas.panel(0, column)
        scene(axes, image[0, 0], f"{title}, {side} × {side}")
    for letter, _, pixel, shift in MARKED:
        pixel_frame(axes, pixel, letter, shift=shift)
    draw_key(canvas.panel(0, len(shown), COLUMNS - len(shown)), what, colour(what.operators[0]))
    for row, name in enumerate(what.operators, start=1):
        _row(canvas, what, name, row, scenes)
    return canvas.png()


def output(axes: Axes, name: str, scenes: Scenes) -> None:
    """Shows the scene that an operator's output carries."""
    scene(axes, carried(upsampled(trained(name), scenes))[0, 0], name)
    axes.title.set(weight="bold")


def one_pixel(axes: Axes, name: str, pixel: Pixel, title: str, scenes: Scenes, span: int) -> None:
    """Shows what one output pixel reads."""
    crop = around(pixel, span)
    scene(axes, carried(scenes.x)[0, 0], title, crop=crop, alpha=FAINT)
    grid(axes, crop)
    found = reader(trained(name), scenes)(pixel)
    _require_right(found, name, pixel, scenes)
    reading(axes, found, colour(name))
    pixel_frame(axes, pixel)


def _row(canvas: Canvas, what: FigureOf, name: str, row: int, scenes: Scenes) -> None:
    output(canvas.panel(row, 0), name, scenes)
    read = reader(trained(name), scenes)
    if what.sums:
        _sums(canvas.panel(row, 1), read, colour(name))
    else:
        _field(canvas.panel(row, 1), read, scenes, colour(name))
    for column, (letter, place, pixel, _) in enumerate(MARKED, start=2):
        one_pixel(canvas.panel(row, column), name, pixel, f"{letter}: {place}", scenes, what.span)


def _sums(axes: Axes, read: Reader, shade: str) -> None:
    found = [[read((row, column)).marks[0].weights.sum() for column in range(TALL)] for row in range(TALL)]
    sums(axes, torch.tensor(found), "sum of weights", shade)


def _field(axes: Axes, read: Reader, scenes: Scenes, shade: str) -> None:
    """Where every output pixel near the edge reads, in the mean."""
    crop = around(EDGE, 5)
    left, right, top, bottom = (int(one * SCALE) for one in crop)
    pixels = [(row, column) for row in range(top, bottom) for column in range(left, right)]
    scene(axes, carried(scenes.x)[0, 0], "mean place read", crop=crop, alpha=FAINT)
    grid(axes, crop, fine=True)
    field(axes, [(middle(one), read(one).mean()) for one in pixels], shade)


def _require_right(found: Reading, name: str, pixel: Pixel, scenes: Scenes) -> None:
    """Holds a reading against the operator: what is read must sum to the output."""
    row, column = pixel
    if not found.exact:
        return
    out = upsampled(trained(name), scenes)[0, :, row, column]
    torch.testing.assert_close(found.value(), out, rtol=1e-4, atol=1e-4, msg=f"{name} does not read this at {pixel}")
