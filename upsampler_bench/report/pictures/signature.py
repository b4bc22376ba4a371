"""The signature as a table whose colours show where an operator departs from what it is given."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from upsampler_bench import units
from upsampler_bench.case import SIGNATURE
from upsampler_bench.report.lines import Condition
from upsampler_bench.report.pictures import Heat
from upsampler_bench.report.pictures._numbers import quality_slug, subtitle
from upsampler_bench.report.quality import ZERO, measure_cell
from upsampler_bench.results import MetricInfo

PLACE, OF = 20, "quality"
# The least that the darkest colour stands for: pixels, a share, or a deviation.
LEAST = 0.05


def pictures(conditions: Sequence[Condition]) -> Iterator[Heat]:
    """One table for each run that measured signatures."""
    for condition in conditions:
        if SIGNATURE in condition.run.settings.tasks and condition.metrics:
            yield _heat(condition)


def _heat(condition: Condition) -> Heat:
    infos = condition.metrics
    levels = [_levels(condition, info) for info in infos]
    rows = []
    for place, line in enumerate(condition.lines):
        texts = [measure_cell(line, info).text for info in infos]
        cells = zip(texts, (column[place] for column in levels), strict=True)
        rows.append((line.name, tuple(cells)))
    return Heat(
        name="signature",
        title="What each operator does to known signals",
        subtitle=subtitle(condition),
        columns=tuple(_title(info) for info in infos),
        rows=tuple(rows),
        baseline=condition.run.settings.baseline,
        caption="Colour: the magnitude relative to the largest of its column, or to 0.05 (5 %) where all are smaller, "
        "square-rooted; where more is better, what is missing to 1. Operators with random initial weights are at their "
        "start, not at what training makes of them. –: takes no guide, or failed.",
        slug=quality_slug(condition),
    )


def _title(info: MetricInfo) -> str:
    return units.heading(info.title, units.unit(info.unit).name)


def _levels(condition: Condition, info: MetricInfo) -> list[float | None]:
    """A column's levels from 0 to 1."""
    readings = [line.reading(info) for line in condition.lines]
    values = [reading.estimate.value if reading else None for reading in readings]
    amounts = [None if value is None else abs(value if info.lower_is_better else 1 - value) for value in values]
    largest = max([LEAST, *(amount for amount in amounts if amount is not None)])
    return [amount and (math.sqrt(amount / largest) if amount >= ZERO else 0.0) for amount in amounts]
