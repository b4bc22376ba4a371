"""The figure of the introduction: one output pixel on the edge, and what every operator reads for it."""

from __future__ import annotations

from _canvas import COLUMNS, Canvas
from _figure import EDGE, one_pixel
from _panels import pixel_frame, scene
from _scene import Scenes, carried

import upsamplers


def draw_overview(scenes: Scenes) -> bytes:
    """The figure as a PNG."""
    names = upsamplers.names()
    canvas = Canvas(-(-(len(names) + 2) // COLUMNS))
    for place, (title, image) in enumerate((("input x", carried(scenes.x)), ("target", scenes.target))):
        axes = canvas.panel(0, place)
        scene(axes, image[0, 0], title)
        pixel_frame(axes, EDGE)
    for place, name in enumerate(names, start=2):
        axes = canvas.panel(*divmod(place, COLUMNS))
        one_pixel(axes, name, EDGE, name, scenes, 5)
        axes.title.set(weight="bold")
    return canvas.png()
