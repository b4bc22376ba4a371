"""The report's numbers for the page's scripts, as JSON that no text in it can end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from upsampler_bench.figures.palette import Colours, symbol
from upsampler_bench.formats.html import words
from upsampler_bench.formats.html.plots import Plot
from upsampler_bench.report.parts import Cell, OperatorFacts, Report, Table


def as_json(value: object) -> str:
    """JSON that is safe within a script element; a number that is not finite is null."""
    text = msgspec.json.encode(value).decode()
    return re.sub("[<>&\u2028\u2029]", lambda letter: f"\\u{ord(letter[0]):04x}", text)


def data(report: Report, plots: Sequence[Plot], colours: Colours) -> dict[str, Any]:
    """Everything that the scripts read."""
    facts = {operator.name: operator for operator in report.operators}
    names = dict.fromkeys([*facts, *(row.name for table in report.tables for row in table.rows)])
    return {
        "baseline": next((row.name for table in report.tables for row in table.rows if row.baseline), ""),
        "miou": report.miou[1],
        "operators": [_operator(name, facts.get(name), colours[name]) for name in names],
        "tables": [_table(table) for table in report.tables],
        "plots": [{"figure": plot.figure, "ratio": plot.ratio} for plot in plots],
    }


def _operator(name: str, facts: OperatorFacts | None, colour: str) -> dict[str, Any]:
    # Capabilities are pairs, since a metric of a stranger's file may be called anything.
    return {
        "name": name,
        "colour": colour,
        "symbol": symbol(name),
        "guide": facts.needs_guide if facts else None,
        "miou": facts.miou if facts else None,
        "capabilities": list(facts.capabilities.items()) if facts else [],
    }


def _table(table: Table) -> dict[str, Any]:
    device = words.condition(table, "device_name")
    return {
        "title": f"{table.title}, {device}" if device else table.title,
        "measured": words.is_measured(table),
        "baseline": next((row.name for row in table.rows if row.baseline), ""),
        "columns": [{"name": one.name, "heading": one.heading, "unit": one.unit} for one in table.columns],
        "rows": [{"name": row.name, "cells": [_cell(cell) for cell in row.cells]} for row in table.rows],
    }


def _cell(cell: Cell) -> list[object]:
    """Value, low, high, text. An exact number is its own interval; of too few rounds it is the range of the samples."""
    low, high = (cell.low, cell.high) if cell.low is not None else cell.sampled or (cell.value, cell.value)
    return [cell.value, low, high, cell.text]
