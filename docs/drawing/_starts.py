"""The figure of DySample's starts: where output pixels read at first, and how far an offset of 1 takes them."""

from __future__ import annotations

from dataclasses import dataclass

from _canvas import Canvas
from _panels import INK, PAPER, TINY, grid, titled
from _scene import CHANNELS, SCALE
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

import upsamplers
from upsampler_bench.figures.palette import colour

TEXT = """\
The s² = 4 output pixels of one
input pixel: dots where they read
at first, boxes where offsets of up
to 1 along each axis take them.
Dashed: σ(S) = ½, as at first."""


@dataclass(frozen=True, slots=True)
class Start:
    """One panel: its title, the operator's options, and by what share of its factor the scope is multiplied."""

    title: str
    name: str
    options: dict[str, object]
    shares: tuple[float, ...] = (1.0,)


STARTS = (
    Start("nearest, factor 1", "dysample-naive", {}),
    Start("bilinear, factor 1", "dysample-naive", {"initial_position": "bilinear"}),
    Start("bilinear, 0.25", "dysample", {}),
    Start("bilinear, 0.5 · σ(S)", "dysample+", {}, (1.0, 0.5)),
)


def draw_starts() -> bytes:
    """The figure as a PNG."""
    canvas = Canvas(1)
    for column, start in enumerate(STARTS):
        _panel(canvas.panel(0, column), start)
    axes = canvas.panel(0, len(STARTS), 2)
    axes.axis("off")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.text(0.04, 0.5, TEXT, fontsize=TINY, color=INK, va="center", linespacing=1.3)
    return canvas.png()


def _panel(axes: Axes, start: Start) -> None:
    module = upsamplers.create(start.name, CHANNELS, scale=SCALE, **start.options)
    crop = (-1.0, 2.0, -1.0, 2.0)
    titled(axes, start.title, crop)
    axes.set_facecolor("#dfe4ea")
    grid(axes, crop)
    shade = colour("dysample")
    for x, y in _points(module.init_pos, module.groups).tolist():
        for share in start.shares:
            reach = module.scope_factor * share
            full = share == 1
            for fill, style, width in ((True, "-", 0.0), (False, "-" if full else (0, (1.5, 1.2)), 0.9)):
                box = Rectangle(
                    (x - reach, y - reach), 2 * reach, 2 * reach, fill=fill, linestyle=style, linewidth=width
                )
                box.set(facecolor=shade if fill else "none", edgecolor=shade, alpha=0.16 if fill else 1.0)
                if full or not fill:
                    axes.add_patch(box)
        axes.plot(x, y, marker="o", markersize=3.4, color=INK, markeredgecolor=PAPER, markeredgewidth=0.4, zorder=5)


def _points(initial: Tensor, groups: int) -> Tensor:
    """The first group's points, (s², 2), x before y, of displacements (1, 2Zs², 1, 1) from the middle of the pixel."""
    return initial.view(2, groups, -1)[:, 0].T + 0.5
