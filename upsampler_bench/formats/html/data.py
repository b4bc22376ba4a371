"""The report's numbers for the page's scripts, as JSON that nothing in it can end or leave."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from upsampler_bench.figures.palette import HUES, colour, family
from upsampler_bench.formats.html import words
from upsampler_bench.report.parts import Cell, OperatorFacts, Report, Table

# One mark a family, as the library names them: what tells operators apart where colours do not.
SYMBOLS = (
    "triangle-down", "square", "hexagon2", "triangle-left", "triangle-up", "cross", "x", "pentagon", "hexagram", "star",
    "diamond", "circle",
)  # fmt: skip
QUALITY = "mIoU (%), published"


def as_json(value: object) -> str:
    """JSON that is safe within a script element; what is not finite is null."""
    text = json.dumps(finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def finite(value: object) -> object:
    """The same data with None for each number that is not finite."""
    if isinstance(value, Mapping):
        return {str(name): finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def data(report: Report, pictures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Everything that the scripts read."""
    facts = {one.name: one for one in report.operators}
    names = dict.fromkeys([*facts, *_named(report), *(name for one in pictures for name in one["names"])])
    return {
        "quality": QUALITY,
        "baseline": next((row.name for table in report.tables for row in table.rows if row.baseline), ""),
        "operators": [_operator(name, facts.get(name)) for name in names],
        "tables": [_table(one) for one in report.tables],
        "pictures": [{key: one[key] for key in one if key not in ("numbers", "names", "caption")} for one in pictures],
    }


def symbol(name: str) -> str:
    """The mark of an operator's family, from the name alone."""
    stem = family(name)
    place = list(HUES).index(stem) if stem in HUES else zlib.crc32(stem.encode())
    return SYMBOLS[place % len(SYMBOLS)]


def _named(report: Report) -> Iterator[str]:
    return (row.name for table in report.tables for row in table.rows)


def _operator(name: str, facts: OperatorFacts | None) -> dict[str, Any]:
    looks = {"name": name, "family": family(name), "colour": colour(name), "symbol": symbol(name)}
    if facts is None:
        return {**looks, "known": False, "guide": None, "paper": "", "miou": None, "reference": "", "able": []}
    told = {"guide": facts.needs_guide, "paper": facts.paper, "miou": facts.miou, "reference": facts.reference}
    # Pairs, since a metric of a stranger's file may be called anything.
    return {**looks, "known": True, **told, "able": [[key, able] for key, able in facts.capabilities.items()]}


def _table(table: Table) -> dict[str, Any]:
    device = words.told(table)
    return {
        "title": f"{table.title}, {device}" if device else table.title,
        "measured": words.is_measured(table),
        "columns": [{"name": one.name, "heading": one.heading, "unit": one.unit} for one in table.columns],
        "rows": [{"name": row.name, "status": row.status, "cells": _cells(row.cells)} for row in table.rows],
    }


def _cells(cells: Sequence[Cell]) -> list[list[object]]:
    return [[cell.value, cell.low, cell.high, cell.text] for cell in cells]
