"""Pictures as plotly figures, built here once; the page's script only hands them to `Plotly.react`.

Colours of the page (ink, grid, background) are left to the page's template, which follows its theme.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from matplotlib.image import imsave

from upsampler_bench.figures.heat import COLOURS
from upsampler_bench.figures.mosaic import sheet
from upsampler_bench.figures.palette import Colours, legend_colour, symbol
from upsampler_bench.report.parts import Cell, Table
from upsampler_bench.report.pictures import Axis, Bar, BarChart, Heat, Mosaic, Panel, Picture, Plane, Point
from upsampler_bench.text import shortened
from upsampler_bench.units import short

Json: TypeAlias = dict[str, Any]
Interval: TypeAlias = tuple[float, float] | None
# Pixels: the height of a bar, of what is around the bars, and of a plane.
BAR, AROUND, PLANE = 21, 58, 480
# Pixels: the side of a mosaic's tile, and of one with words below.
TILE, WITH_TEXT = 72, 96
# Of a legend: the pixels of a row, and about how many names stand in one.
LEGEND, LEGEND_COLUMNS = 24, 3
# How many pixels a point of the printed picture is.
SCALE = 1.8
# In a crowd some labels are left out, and seen on hover: as shares of the axes, how near another label may be.
NEAR_X, NEAR_Y = 0.08, 0.035


@dataclass(frozen=True, slots=True)
class Plot:
    """One plotly figure of a picture.

    Attributes:
        title: empty where the picture has only this one.
        height: in pixels.
        figure: its data and layout.
        ratio: the same relative to the baseline, where there is such a ratio.
    """

    title: str
    height: int
    figure: Json
    ratio: Json | None = None


def plots(picture: Picture, tables: Sequence[Table], colours: Colours) -> list[Plot]:
    """The picture's figures: a panel's one for each chart."""
    if isinstance(picture, Plane):
        return [Plot("", PLANE, _plane(picture, colours))]
    if isinstance(picture, Heat):
        return [Plot("", round(BAR * len(picture.rows)) + 90, _heat(picture))]
    if isinstance(picture, Mosaic):
        return [_mosaic(picture)]
    return [_chart(chart, picture, tables, colours) for chart in picture.charts]


def plain(text: str, most: int = 80) -> str:
    """Text for plotly, which reads some markup: none of what is given here is markup."""
    return html.escape(shortened(" ".join(text.split()), most), quote=False)


def _chart(chart: BarChart, panel: Panel, tables: Sequence[Table], colours: Colours) -> Plot:
    height = round(BAR * (chart.places[-1] + 1)) + AROUND
    if panel.legend:
        height += LEGEND * -(-len(panel.legend) // LEGEND_COLUMNS)
    if any(bar.backend for bar in chart.bars):
        return Plot(chart.title, height, _grouped(chart, panel, colours))
    if panel.legend:
        return Plot(chart.title, height, _stacked(chart, panel, colours))
    ratios = _relative(chart, panel.baseline, tables)
    ratio = _bars(ratios, panel.baseline, colours) if ratios else None
    return Plot(chart.title, height, _bars(chart, panel.baseline, colours), ratio)


def _bars(chart: BarChart, baseline: str, colours: Colours) -> Json:
    places = chart.places
    left, right = chart.range
    start = left if chart.log or chart.dots else 0.0
    ends = [start if bar.value is None else max(bar.value, *(bar.interval or ()), start) for bar in chart.bars]
    marks: Json = {"type": "bar", "orientation": "h", "width": 0.72}
    if chart.dots:
        marks = {"type": "scatter", "mode": "markers"}
    hover = [_hover(bar.name, f"{chart.title}: {_bar_text(bar, chart)}") for bar in chart.bars]
    marks |= {
        "x": [bar.value for bar in chart.bars],
        "y": places,
        "marker": {"color": [legend_colour(bar.backend) if bar.backend else colours[bar.name] for bar in chart.bars]},
        "error_x": _error([(bar.value, bar.interval) for bar in chart.bars]),
        "hovertext": hover,
        "hoverinfo": "text",
    }
    numbers = {
        "type": "scatter",
        "mode": "text",
        "x": ends,
        "y": places,
        "text": [f"{'   ' if chart.dots else '  '}{plain(bar.text, 16)}" for bar in chart.bars],
        "textposition": "middle right",
        "hovertext": hover,
        "hoverinfo": "text",
        "cliponaxis": False,
    }
    names = [f"<b>{plain(text, 24)}</b>" if text == baseline else plain(text, 24) for text in chart.labels]
    layout: Json = {
        "margin": {"l": 8, "r": 8, "t": 4, "b": 40},
        "dragmode": False,
        "xaxis": _axis(Axis(chart.axis, log=chart.log), chart.axis) | {"range": _range(left, right, chart.log)},
        "yaxis": {
            "tickvals": places,
            "ticktext": names,
            "range": [places[-1] + 0.6, -0.6],
            "showgrid": False,
            "showline": False,
        },
    }
    layout["xaxis"]["fixedrange"] = layout["yaxis"]["fixedrange"] = True
    if chart.baseline:
        dashed = {"width": 1, "dash": "dash"}
        where = {"x0": chart.baseline, "x1": chart.baseline, "yref": "paper", "y0": 0, "y1": 1}
        layout["shapes"] = [{"type": "line", "line": dashed, **where}]
    return {"data": [marks, numbers], "layout": layout}


def _stacked(chart: BarChart, panel: Panel, colours: Colours) -> Json:
    """Bars of segments: a trace for each name of the legend."""
    figure = _bars(chart, panel.baseline, colours)
    places, traces = chart.places, []
    for name in panel.legend:
        lengths = [dict(bar.segments).get(name, 0.0) for bar in chart.bars]
        hover = [
            _hover(bar.name, f"{name}: {short(length)} %") for bar, length in zip(chart.bars, lengths, strict=True)
        ]
        look = {"orientation": "h", "width": 0.72, "marker": {"color": legend_colour(name)}, "name": name}
        traces.append({"type": "bar", "x": lengths, "y": places, "hovertext": hover, "hoverinfo": "text", **look})
    layout = _with_legend(figure["layout"], panel) | {"barmode": "stack"}
    layout["xaxis"] = layout["xaxis"] | {"tickvals": chart.ticks}
    return {"data": [*traces, figure["data"][1] | {"showlegend": False}], "layout": layout}


def _grouped(chart: BarChart, panel: Panel, colours: Colours) -> Json:
    """Bars coloured by backend: the legend's entries are traces without bars."""
    figure = _bars(chart, panel.baseline, colours)
    keys = [
        {"type": "bar", "x": [None], "y": [0], "name": name, "marker": {"color": legend_colour(name)}}
        for name in panel.legend
    ]
    bars, numbers = (trace | {"showlegend": False} for trace in figure["data"])
    layout = _with_legend(figure["layout"], panel) | {"barmode": "overlay"}
    return {"data": [bars, numbers, *keys], "layout": layout}


def _with_legend(layout: Json, panel: Panel) -> Json:
    """The layout with room for a legend above the bars, in the order of the panel's."""
    rows = -(-len(panel.legend) // LEGEND_COLUMNS)
    legend = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0.0, "traceorder": "normal"}
    return layout | {"showlegend": True, "legend": legend, "margin": layout["margin"] | {"t": 4 + LEGEND * rows}}


def _bar_text(bar: Bar, chart: BarChart) -> str:
    if bar.value is None:
        return bar.text
    return f"{_number(bar.value, bar.interval)} {chart.axis.removesuffix(', log scale')}"


def _relative(chart: BarChart, baseline: str, tables: Sequence[Table]) -> BarChart | None:
    """The chart relative to the baseline: paired by round where a table with these numbers has the ratio."""
    if not chart.baseline or chart.dots:
        return None
    paired: dict[str, Cell] = {}
    for table in tables:
        own = _column(table, chart.name)
        if all(bar.name in own and own[bar.name].value == bar.value for bar in chart.bars):
            paired = _column(table, f"{chart.name}_ratio")
    bars = []
    for bar in chart.bars:
        cell = paired.get(bar.name)
        if bar.value is None:
            bars.append(bar)
        elif cell and cell.value is not None:
            ends = (cell.low, cell.high) if cell.low is not None and cell.high is not None else None
            bars.append(Bar(bar.name, cell.value, f"{short(cell.value)}×", ends))
        else:
            ratio = bar.value / chart.baseline
            bars.append(Bar(bar.name, ratio, f"{short(ratio)}×"))
    axis = f"relative to {baseline}{', log scale' if chart.log else ''}"
    return BarChart(chart.name, chart.title, axis, tuple(bars), 1.0, chart.log)


def _column(table: Table, name: str) -> dict[str, Cell]:
    for place, column in enumerate(table.columns):
        if column.name == name:
            return {row.name: row.cells[place] for row in table.rows}
    return {}


def _plane(plane: Plane, colours: Colours) -> Json:
    """One trace for each line and one for the points of each operator; the legend hides both together."""
    in_legend = {line.name for line in plane.lines if line.legend}
    traces: list[Json] = []
    for line in plane.lines:
        look: Json = {
            "width": 1.5,
            "dash": "dash" if line.dashed else "solid",
            "shape": "hv" if line.steps else "linear",
        }
        if line.name:
            look["color"] = colours[line.name]
        trace: Json = {"type": "scatter", "mode": "lines", "line": look, "hoverinfo": "skip", "legendgroup": line.name}
        trace |= {"x": [at[0] for at in line.points], "y": [at[1] for at in line.points]}
        traces.append(trace | {"name": plain(line.legend, 40), "showlegend": bool(line.legend)})
    by_operator: dict[str, list[Point]] = {}
    for point in plane.points:
        by_operator.setdefault(point.name, []).append(point)
    labelled = _labelled(plane)
    traces += [_points(plane, points, labelled, colours[name]) for name, points in by_operator.items()]
    layout: Json = {
        "margin": {"l": 60, "r": 24, "t": 32, "b": 50},
        "showlegend": bool(in_legend),
        "xaxis": _axis(plane.x, plane.x.label),
        "yaxis": _axis(plane.y, plane.y.label),
    }
    return {"data": traces, "layout": layout}


def _labelled(plane: Plane) -> list[Point]:
    """The points whose labels are written: bold ones first, then from left to right, none near another."""
    xs = _shares(plane.x, [point.x for point in plane.points])
    ys = _shares(plane.y, [point.y for point in plane.points])
    places = {id(point): place for point, *place in zip(plane.points, xs, ys, strict=True)}
    kept: list[Point] = []
    for point in sorted(plane.points, key=lambda point: (not point.bold, point.x, point.y)):
        x, y = places[id(point)]
        others = [places[id(other)] for other in kept]
        if point.label and not any(abs(x - a) < NEAR_X and abs(y - b) < NEAR_Y for a, b in others):
            kept.append(point)
    return kept


def _shares(axis: Axis, values: Sequence[float]) -> list[float]:
    """Where values lie on an axis, from 0 to 1."""
    positions = [math.log10(value) if axis.log else value for value in values]
    least, length = min(positions), max(positions) - min(positions)
    return [(position - least) / (length or 1.0) for position in positions]


def _points(plane: Plane, points: Sequence[Point], labelled: Sequence[Point], colour: str) -> Json:
    texts = []
    for point in points:
        x = _number(point.x, point.x_interval)
        y = _number(point.y, point.y_interval)
        lines = [f"{plane.x.title}: {x} {plane.x.unit}", f"{plane.y.title}: {y} {plane.y.unit}"]
        if plane.size:
            lines.append(f"{plane.size}: {_number(point.size)}")
        texts.append(_hover(point.name, *lines, point.note))
    # A circle's area is its size; where all sizes are alike, the shape shows the family.
    own_symbol = "circle" if plane.size else symbol(points[0].name)
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [point.x for point in points],
        "y": [point.y for point in points],
        "text": [_label(point) if point in labelled else "" for point in points],
        "textposition": "top center",
        "marker": {
            "size": [round(2 * SCALE * plane.radius(point.size, small=point.small), 1) for point in points],
            "symbol": [f"{own_symbol}-open" if point.hollow else own_symbol for point in points],
            "color": colour,
            "opacity": 1,
        },
        "error_x": _error([(point.x, point.x_interval) for point in points]),
        "error_y": _error([(point.y, point.y_interval) for point in points]),
        "hovertext": texts,
        "hoverinfo": "text",
        "legendgroup": points[0].name,
        "showlegend": False,
        "cliponaxis": False,
    }


def _heat(heat: Heat) -> Json:
    names = [plain(name, 24) for name, _ in heat.rows]
    hover = [
        [_hover(name, f"{column}: {text}") for column, (text, _) in zip(heat.columns, cells, strict=True)]
        for name, cells in heat.rows
    ]
    steps = [place / (len(COLOURS) - 1) for place in range(len(COLOURS))]
    trace = {
        "type": "heatmap",
        "z": [[level for _, level in cells] for _, cells in heat.rows],
        "text": [[text for text, _ in cells] for _, cells in heat.rows],
        "texttemplate": "%{text}",
        "hovertext": hover,
        "hoverinfo": "text",
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[step, colour] for step, colour in zip(steps, COLOURS, strict=True)],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
    ticks = {"showgrid": False, "showline": False, "fixedrange": True}
    columns = {"tickvals": list(range(len(heat.columns))), "ticktext": [plain(head, 32) for head in heat.columns]}
    layout: Json = {
        "margin": {"l": 8, "r": 8, "t": 4, "b": 8},
        "dragmode": False,
        "xaxis": {**columns, **ticks, "side": "top", "tickangle": -30},
        "yaxis": {"tickvals": list(range(len(names))), "ticktext": names, "autorange": "reversed", **ticks},
    }
    return {"data": [trace], "layout": layout}


def _mosaic(mosaic: Mosaic) -> Plot:
    """One image of all tiles behind invisible axes, with texts at the tiles."""
    pixels, ratio = sheet(mosaic)
    rows, columns = len(mosaic.rows), mosaic.columns
    coded = io.BytesIO()
    imsave(coded, pixels, format="png")
    tiles = [
        (row, column, tile)
        for row, (_, found) in enumerate(mosaic.rows)
        for column, tile in enumerate(found)
        if tile.text
    ]
    texts: Json = {
        "type": "scatter",
        "mode": "text",
        "x": [column + 0.47 for _, column, _ in tiles],
        "y": [row + 0.97 for row, _, _ in tiles],
        "text": [plain(tile.text, 24) for _, _, tile in tiles],
        "textposition": "top center",
        "hoverinfo": "skip",
    }
    image = {
        "source": f"data:image/png;base64,{base64.b64encode(coded.getvalue()).decode()}",
        "xref": "x",
        "yref": "y",
        "x": 0,
        "y": 0,
        "sizex": columns,
        "sizey": rows,
        "sizing": "stretch",
        "layer": "below",
    }
    bare = {"showgrid": False, "showline": False, "fixedrange": True, "constrain": "domain"}
    names = {"tickvals": [row + 0.47 for row in range(rows)], "ticktext": [plain(name, 40) for name, _ in mosaic.rows]}
    layout: Json = {
        "margin": {"l": 8, "r": 8, "t": 4, "b": 8},
        "dragmode": False,
        "images": [image],
        "xaxis": {**bare, "showticklabels": False, "range": [0, columns], "constraintoward": "left"},
        "yaxis": {
            **names,
            **bare,
            "constraintoward": "top",
            "range": [rows, 0],
            "scaleanchor": "x",
            "scaleratio": round(ratio, 4),
        },
    }
    return Plot("", round((WITH_TEXT if tiles else TILE) * ratio * rows) + 20, {"data": [texts], "layout": layout})


def _label(point: Point) -> str:
    return f"<b>{plain(point.label, 32)}</b>" if point.bold else plain(point.label, 32)


def _axis(axis: Axis, label: str) -> Json:
    made: Json = {"title": {"text": plain(label, 60)}, "type": "log" if axis.log else "linear"}
    if axis.ticks:
        made |= {
            "tickvals": [value for value, _ in axis.ticks],
            "ticktext": [plain(text, 24) for _, text in axis.ticks],
        }
    return made


def _range(left: float, right: float, log: bool) -> list[float]:
    """An axis' range; plotly takes powers of ten for a logarithmic one."""
    return [math.log10(left), math.log10(right)] if log else [left, right]


def _error(numbers: Sequence[tuple[float | None, Interval]]) -> Json:
    up = [ends[1] - value if value is not None and ends else 0.0 for value, ends in numbers]
    down = [value - ends[0] if value is not None and ends else 0.0 for value, ends in numbers]
    if not any(up) and not any(down):
        return {"visible": False}
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down}


def _number(value: float, interval: Interval = None) -> str:
    return f"{value:,.4g} ({interval[0]:,.4g}–{interval[1]:,.4g})" if interval else f"{value:,.4g}"


def _hover(*lines: str) -> str:
    return "<br>".join(plain(line, 200) for line in lines if line)


def numbers(picture: Picture) -> tuple[list[str], list[list[str]]]:
    """The picture's numbers as a table, for whoever cannot see it: the head, and the rows."""
    if isinstance(picture, Heat):
        rows = [[name, *(text for text, _ in cells)] for name, cells in picture.rows]
        return ["Upsampler", *picture.columns], rows
    if isinstance(picture, Mosaic):
        return ["Row", "Images"], [
            [
                name,
                ", ".join(tile.text for tile in tiles if tile.text)
                or str(sum(tile.raster is not None for tile in tiles)),
            ]
            for name, tiles in picture.rows
        ]
    if isinstance(picture, Plane):
        head = ["Upsampler", picture.x.label, picture.y.label, *([picture.size] if picture.size else []), "Note"]
        return head, [_row(picture, point) for point in picture.points]
    head = ["Upsampler", *(f"{chart.title} ({chart.axis})" if chart.axis else chart.title for chart in picture.charts)]
    table = {bar.name: [bar.name] for chart in picture.charts for bar in chart.bars}
    for chart in picture.charts:
        texts = {bar.name: bar.text if bar.value is None else _number(bar.value, bar.interval) for bar in chart.bars}
        for name, row in table.items():
            row.append(texts.get(name, "–"))
    return head, list(table.values())


def _row(plane: Plane, point: Point) -> list[str]:
    x = _number(point.x, point.x_interval)
    y = _number(point.y, point.y_interval)
    return [point.name, x, y, *([_number(point.size)] if plane.size else []), point.note]
