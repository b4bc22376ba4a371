"""Several costs of each operator at once, as polygons on axes that are normalised alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from upsampler_bench import units
from upsampler_bench.report.conditions import FLOPS, PARAMS, Scene, estimate, missing
from upsampler_bench.report.lines import Line
from upsampler_bench.report.parts import NOTHING
from upsampler_bench.report.pictures import Outline, Radar
from upsampler_bench.results import MetricInfo

COSTS = (("latency",), ("inference_memory",), ("train_memory",), ("train_latency",), FLOPS, PARAMS)
FEWEST = 3
# Where some cost nothing these stand at the rim, and the cheapest of the others here.
CHEAPEST = 0.9


def radar(scene: Scene) -> Radar | None:
    """All costs of all operators, or None where fewer than three costs or two operators have numbers."""
    infos = [info for names in COSTS if (info := scene.first(names))]
    lines = [line for line in scene.condition.lines if any(estimate(line, info) for info in infos)]
    if len(infos) < FEWEST or len(lines) < 2:
        return None
    columns = [places([_value(line, info) for line in lines]) for info in infos]
    outlines = tuple(
        Outline(
            line.name,
            values=tuple(column[row] for column in columns),
            texts=tuple(_text(line, info) for info in infos),
            numbers=tuple(_value(line, info) for info in infos),
        )
        for row, line in enumerate(lines)
    )
    titles = tuple(info.title for info in infos)
    caption = " ".join(_caption(scene, infos, lines))
    title, name = f"Costs on {scene.device}: outwards is better", scene.run.settings.baseline
    axis_units = tuple(units.unit(info.unit).name for info in infos)
    return Radar(title, scene.condition.words, titles, outlines, caption, scene.slug, baseline=name, units=axis_units)


def places(values: Sequence[float | None]) -> list[float | None]:
    """Each value's place on its axis, by its logarithm: 0 the dearest, 1 the cheapest; None stays None."""
    positive = [math.log(one) for one in values if one]
    rim = CHEAPEST if any(one == 0 for one in values) else 1.0
    return [None if one is None else _place(one, positive, rim) for one in values]


def _place(value: float, positive: Sequence[float], rim: float) -> float:
    if value == 0:
        return 1.0
    least, most = min(positive), max(positive)
    return rim * (1.0 if most == least else (most - math.log(value)) / (most - least))


def _value(line: Line, info: MetricInfo) -> float | None:
    found = estimate(line, info)
    return None if found is None else max(found.value, 0.0)


def _text(line: Line, info: MetricInfo) -> str:
    found = estimate(line, info)
    if found is None:
        return line.why_not(info) or NOTHING
    return f"{units.short(found.value)} {units.unit(info.unit).name}".strip()


def _caption(scene: Scene, infos: Sequence[MetricInfo], lines: Sequence[Line]) -> Iterator[str]:
    yield "Each axis is logarithmic from the dearest operator (inner ring) to the cheapest (rim);"
    yield "where some cost nothing they stand at the rim, and the cheapest of the others at nine tenths."
    if scene.baseline in lines:
        yield f"Grey, dashed: {scene.run.settings.baseline}."
    gaps = [f"{line.name} ({', '.join(_gaps(line, infos))})" for line in lines if any(_gaps(line, infos))]
    if gaps:
        yield f"×, no number: {'; '.join(gaps)}."
    yield from missing(scene.condition, infos, {line.name for line in lines})


def _gaps(line: Line, infos: Sequence[MetricInfo]) -> Iterator[str]:
    yield from (f"{info.title}: {_text(line, info)}" for info in infos if estimate(line, info) is None)
