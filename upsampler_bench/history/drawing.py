"""The history as a picture: a small chart an operator, its ratio over the runs, its changes of level marked."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from upsampler_bench.drawing.figure import GRID, INK, SMALL, TEXT, Frame, framed, plain, settle
from upsampler_bench.drawing.palette import colour
from upsampler_bench.history import Entry
from upsampler_bench.history.changes import Change

COLUMNS, CHART_WIDTH, CHART_HEIGHT = 3, 2.3, 1.25


def draw(line: Sequence[Entry], found: Mapping[str, Sequence[Change]]) -> bytes:
    """A PNG of one series of entries; a chart for each of `found`'s operators, with its changes of level."""
    rows = -(-len(found) // COLUMNS)
    newest = line[-1]
    caption = "Whiskers: 95 % interval. Dashed: the level changed there, by the factor beside it."
    title = f"Latency over {newest.baseline}'s, run by run"
    words = f"{newest.device}, torch {newest.torch}: {newest.condition}, {line[0].when[:10]} to {newest.when[:10]}"
    figure = framed(Frame(COLUMNS * CHART_WIDTH, rows * CHART_HEIGHT + 0.7, title, words, caption))
    charts = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True).flatten()
    for axes, (name, changes) in zip(charts, found.items(), strict=False):
        _chart(axes, name, line, changes)
    for axes in charts[max(0, len(found) - COLUMNS) : len(found)]:
        axes.set_xlabel("run, oldest first", size=SMALL, color=INK)
        axes.tick_params(labelbottom=True)
    for axes in charts[len(found) :]:
        axes.set_visible(False)
    settle(figure)
    return _png(figure)


def _chart(axes: Axes, name: str, line: Sequence[Entry], changes: Sequence[Change]) -> None:
    plain(axes)
    places = [place for place, one in enumerate(line) if name in one.ratios]
    values = [line[place].ratios[name] for place in places]
    middles = [value for value, _, _ in values]
    below, above = [value - low for value, low, _ in values], [high - value for value, _, high in values]
    axes.errorbar(places, middles, yerr=(below, above), color=colour(name), marker="o", markersize=2.5, linewidth=0.9)
    axes.set_title(name, size=TEXT, color=INK, loc="left", pad=2)
    axes.grid(color=GRID, linewidth=0.5)
    axes.margins(y=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    for one in changes:
        axes.axvline(places[one.place] - 0.5, color=INK, linewidth=0.8, linestyle="--")
        spot = (places[one.place] - 0.4, axes.get_ylim()[1])
        axes.annotate(f"{one.ratio:.2f}×", spot, size=SMALL, color=INK, va="top", ha="left")


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=200)
    return out.getvalue()
