"""Draws docs/figures: what the output pixels of every operator read.

    python docs/drawing/draw_operators.py           all figures, and the tables of formulas of docs/operators.md
    python docs/drawing/draw_operators.py carafe    the figures of these names alone; "tables" for the tables alone

Operators are trained before they are drawn, each for a few seconds on one thread, from a fixed seed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from _figure import draw
from _formulas import page_with_tables
from _overview import draw_overview
from _scene import drawn
from _sections import FIGURES
from _starts import draw_starts

FOLDER = Path(__file__).parents[1] / "figures"
PAGE = Path(__file__).parents[1] / "operators.md"


def figures() -> dict[str, Callable[[], bytes]]:
    """How to draw each figure, by the name of its file."""
    scenes = drawn()
    families = {one.name: partial(draw, one, scenes) for one in FIGURES}
    return {**families, "dysample-starts": draw_starts, "overview": partial(draw_overview, scenes)}


def main(wanted: list[str]) -> int:
    """Draws the wanted figures, or all of them and the page's tables."""
    torch.set_num_threads(1)
    for name, drawing in figures().items():
        if not wanted or name in wanted:
            started = time.perf_counter()
            path = FOLDER / f"{name}.png"
            path.write_bytes(drawing())
            print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB, {time.perf_counter() - started:.1f} s")
    if not wanted or "tables" in wanted:
        PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
