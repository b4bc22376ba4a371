"""One colour per operator, the same in every figure of a report: a hue for its family, a shade for its variant."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

from upsampler_bench.report.parts import Report

# Paul Tol's muted scheme and Okabe and Ito's vermillion: distinct also to colour-blind readers.
HUES = {
    "nearest": "#BBBBBB",
    "bilinear": "#777777",
    "bicubic": "#999999",
    "max": "#882255",
    "deconv": "#CC6677",
    "pixel": "#DDCC77",
    "carafe": "#117733",
    "indexnet": "#88CCEE",
    "a2u": "#999933",
    "fade": "#AA4499",
    "sapa": "#332288",
    "dysample": "#D55E00",
}
# Any other family takes the first of these that is free, from a place that a checksum of its name gives. Each can be
# told from the colours above.
OTHERS = ("#44AA99", "#0072B2", "#F0027F", "#66BB00", "#5A3010", "#F5B800", "#3D5AFE", "#8C6D46")
# How far towards white (above 0) or black (below 0) a variant goes.
SHADES = {"": 0.0, "+": -0.25, "-s": 0.4, "-s+": 0.2, "-naive": 0.6, "-lite": 0.4, "-b": 0.0, "-shuffle": 0.0}
# Any other variant, or family whose hue is taken, has the first of these that is free.
FURTHER = (0.0, 0.45, -0.35, 0.25, -0.2, 0.6, -0.5)

# Kinds of work in a profile; any other is the last.
WORK = {
    "convolution": "#0072B2",
    "product": "#56B4E9",
    "window sum": "#117733",
    "sampling": "#D55E00",
    "softmax": "#AA4499",
    "norm": "#332288",
    "reduction": "#999933",
    "copy": "#E69F00",
    "elementwise": "#999999",
    "views": "#DDDDDD",
    "between operations": "#F0E6D2",
}

# Backends, where an operator's are beside each other; any other is one of OTHERS.
BACKENDS = {
    "torch": "#999999",
    "auto": "#555555",
    "compile": "#0072B2",
    "triton": "#117733",
    "onnxruntime": "#D55E00",
    "openvino": "#AA4499",
    "tensorrt": "#332288",
}

# A mark for each family, as plotly names them: what tells operators apart where colours do not.
SYMBOLS = (
    "triangle-down", "square", "hexagon2", "triangle-left", "triangle-up", "cross", "x", "pentagon", "hexagram", "star",
    "diamond", "circle",
)  # fmt: skip


def family(name: str) -> str:
    """The first word of an operator's name: "dysample" for "dysample-s+"."""
    return re.split(r"[-+_.:\[ ]", name, maxsplit=1)[0]


class Colours(dict[str, str]):
    """The colours of rows as "#rrggbb", by their names: no two alike as long as there are enough.

    Colours are given in the order of the names; one that is looked up later has what is free then.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        super().__init__()
        self._hues = dict(HUES)
        for name in names:
            self[name]

    def __missing__(self, name: str) -> str:
        operator = name.removesuffix(" · torch")
        self[name] = self[operator] if operator != name else self._free(name)
        return self[name]

    def _free(self, name: str) -> str:
        stem = family(name)
        if stem not in self._hues:
            first = zlib.crc32(stem.encode()) % len(OTHERS)
            hues, taken = (*OTHERS[first:], *OTHERS[:first]), set(self._hues.values())
            self._hues[stem] = next((hue for hue in hues if hue not in taken), hues[0])
        variant, taken = name.removeprefix(stem), set(self.values())
        shades = (SHADES[variant], *FURTHER) if variant in SHADES else FURTHER
        colours = [_shaded(self._hues[stem], shade) for shade in shades]
        return next((colour for colour in colours if colour not in taken), colours[0])


def colours(report: Report) -> Colours:
    """The colours of a report's operators."""
    return Colours(row.name for table in report.tables for row in table.rows if row.operator)


def legend_colour(name: str) -> str:
    """The colour of a kind of work, or of a backend."""
    return WORK.get(name) or BACKENDS.get(name) or OTHERS[zlib.crc32(name.encode()) % len(OTHERS)]


def _shaded(hue: str, shade: float) -> str:
    target = 255 if shade > 0 else 0
    parts = (int(hue[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(part + (target - part) * abs(shade)):02x}" for part in parts)


def symbol(name: str) -> str:
    """The mark of an operator's family, from the name alone."""
    stem = family(name)
    place = list(HUES).index(stem) if stem in HUES else zlib.crc32(stem.encode())
    return SYMBOLS[place % len(SYMBOLS)]
