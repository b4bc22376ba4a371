"""The report as data: every part under its own name, numbers in the units that the columns name."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

from upsampler_bench.report.parts import Report

ABOUT = "the whole report as data, charts included (report.json)"
FILE = "report.json"


def files(report: Report) -> dict[str, bytes]:
    """report.json."""
    return {FILE: show(report).encode()}


def show(report: Report) -> str:
    """The report as JSON that any reader takes: a number that is not finite is null."""
    return json.dumps(_finite(asdict(report)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
