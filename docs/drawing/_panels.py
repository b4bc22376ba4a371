"""The panels of a figure: scenes, what a pixel reads, and the key to the marks.

An input pixel is one unit along both axes, its rows going down. A mark's area is its weight: a weight of one covers an
input pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from _reading import Marks, Pixel, Reading, middle
from _scene import SCALE, SIDE
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor

INK, PAPER = "#222222", "#ffffff"
# Ever darker from -1 to +1, so that it also reads without colours; the middle is 0.
SCENE = LinearSegmentedColormap.from_list("scene", ["#fbf9f4", "#b4bfcc", "#44556b"])
MOST = 1.15
FAINT = 0.45
HALO = [withStroke(linewidth=2.2, foreground=PAPER)]
SMALL, TINY = 8.5, 8.0
# Weights that would be dots of less than a tenth of a pixel a side.
LEAST = 0.008

Crop = tuple[float, float, float, float]
WHOLE: Crop = (0, SIDE, 0, SIDE)


def around(pixel: Pixel, span: int) -> Crop:
    """Left, right, top and bottom of `span` input pixels around an output pixel's own."""
    x, y = (int(one) for one in middle(pixel))
    reach = span // 2
    return x - reach, x + reach + 1, y - reach, y + reach + 1


def scene(axes: Axes, image: Tensor, title: str, *, crop: Crop = WHOLE, alpha: float = 1.0) -> None:
    """Shows a scene (h, w) of values from -1 to +1."""
    axes.imshow(
        image, cmap=SCENE, vmin=-MOST, vmax=MOST, extent=(0, SIDE, SIDE, 0), interpolation="nearest", alpha=alpha
    )
    titled(axes, title, crop)


def sums(axes: Axes, image: Tensor, title: str, colour: str) -> None:
    """Shows weights' sums (h, w), white where 0, the operator's colour from 1 on."""
    shades = LinearSegmentedColormap.from_list("sums", [PAPER, colour])
    axes.imshow(image, cmap=shades, vmin=0, vmax=1, extent=(0, SIDE, SIDE, 0), interpolation="nearest")
    titled(axes, title, WHOLE)


def titled(axes: Axes, title: str, crop: Crop) -> None:
    """Gives a panel its title and frame, and shows a part of it."""
    left, right, top, bottom = crop
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    axes.set_title(title, fontsize=SMALL, color=INK, pad=3)
    for side in axes.spines.values():
        side.set(linewidth=0.6, color=INK)


def grid(axes: Axes, crop: Crop, *, fine: bool = False) -> None:
    """Draws the borders of pixels."""
    left, right, top, bottom = (int(one) for one in crop)
    if fine:
        halves = [
            (low + high) / 2 for low, high in (*pairwise(range(left, right + 1)), *pairwise(range(top, bottom + 1)))
        ]
        axes.vlines(halves[: right - left], top, bottom, color=PAPER, linewidth=0.4)
        axes.hlines(halves[right - left :], left, right, color=PAPER, linewidth=0.4)
    axes.vlines(range(left, right + 1), top, bottom, color=PAPER, linewidth=0.8)
    axes.hlines(range(top, bottom + 1), left, right, color=PAPER, linewidth=0.8)


def pixel_frame(axes: Axes, pixel: Pixel, letter: str = "", *, shift: tuple[float, float] = (0, 0)) -> None:
    """Frames an output pixel, with a letter beside it."""
    row, column = pixel
    frame(axes, column / SCALE, row / SCALE, 1 / SCALE)
    if letter:
        x, y = (float(one) for one in middle(pixel))
        axes.text(
            x + shift[0], y + shift[1], letter, fontsize=SMALL, weight="bold", color=INK, ha="center",
            va="center_baseline", path_effects=HALO, zorder=6,
        )  # fmt: skip


def frame(axes: Axes, x: float, y: float, side: float) -> None:
    """A frame that shows on every background."""
    for width, colour in ((2.2, PAPER), (1.1, INK)):
        axes.add_patch(Rectangle((x, y), side, side, fill=False, linewidth=width, edgecolor=colour, zorder=4))


def reading(axes: Axes, what: Reading, colour: str) -> None:
    """Draws what one output pixel reads."""
    for group, marks in enumerate(what.marks):
        if marks.side:
            _squares(axes, marks, colour if group == 0 else INK)
        elif len(marks.weights) == 1:
            arrow(axes, _pair(what.origin), _pair(marks.places[0]), colour)
        else:
            places, weights = marks.places.tolist(), marks.weights.tolist()
            circles(axes, ((x, y, weight, group) for (x, y), weight in zip(places, weights, strict=True)), colour)
    if what.arrow is not None:
        arrow(axes, _pair(what.arrow[0]), _pair(what.arrow[1]), INK)


def _squares(axes: Axes, marks: Marks, colour: str) -> None:
    for (x, y), weight in zip(marks.places.tolist(), marks.weights.tolist(), strict=True):
        if abs(weight) >= LEAST:
            square(axes, x, y, weight, colour)


def square(axes: Axes, x: float, y: float, weight: float, colour: str) -> None:
    """A weight as a square of that area: filled, or hollow below zero."""
    side = abs(weight) ** 0.5
    face, edge, width = (colour, INK, 0.4) if weight > 0 else (PAPER, colour, 1.1)
    axes.add_patch(
        Rectangle((x - side / 2, y - side / 2), side, side, facecolor=face, edgecolor=edge, linewidth=width, zorder=3)
    )


def circles(axes: Axes, points: Iterable[tuple[float, float, float, int]], colour: str) -> None:
    """Points, (x, y, weight, group), as circles of their weight's area, every other group darker."""
    for x, y, weight, group in points:
        radius = (max(weight, LEAST) / torch.pi) ** 0.5
        face = colour if group % 2 == 0 else _darker(colour)
        axes.add_patch(Circle((x, y), radius, facecolor=face, edgecolor=PAPER, linewidth=0.4, zorder=5))


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """An arrow that starts with a small ring, darker where the colour is pale."""
    axes.plot(
        *start, marker="o", markersize=2.4, markerfacecolor=PAPER, markeredgecolor=INK, markeredgewidth=0.6, zorder=5
    )
    shade = _darker(colour) if sum(to_rgb(colour)) > 2 else colour
    style = {"arrowstyle": "-|>", "color": shade, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    axes.annotate("", end, start, zorder=6, arrowprops=style)


def _pair(place: Tensor) -> tuple[float, float]:
    x, y = place.tolist()
    return x, y


def field(axes: Axes, moves: Iterable[tuple[Tensor, Tensor]], colour: str) -> None:
    """Lines from output pixels to where they read, with a dot there."""
    lines = torch.stack([torch.stack(one) for one in moves])
    axes.add_collection(LineCollection(list(lines.numpy()), colors=_darker(colour), linewidths=0.8, zorder=4))
    axes.scatter(lines[:, 1, 0], lines[:, 1, 1], s=3.5, color=colour, edgecolors=INK, linewidths=0.25, zorder=5)


def _darker(colour: str) -> tuple[float, float, float]:
    red, green, blue = (0.6 * one for one in to_rgb(colour))
    return red, green, blue
