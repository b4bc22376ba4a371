"""Which pictures a report has: of each condition its own, then those of several conditions together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from upsampler_bench.report import charts, model_panel
from upsampler_bench.report.bubble import bubble
from upsampler_bench.report.conditions import Scene
from upsampler_bench.report.pareto import pareto
from upsampler_bench.report.pictures import Picture
from upsampler_bench.report.rooflines import roofline
from upsampler_bench.report.sweeps import sweeps
from upsampler_bench.report.tables import present


def pictures(scenes: Sequence[Scene]) -> Iterator[Picture]:
    """All pictures in the order in which they are shown; none is empty.

    Beside other conditions one in which nothing was timed has only its table.
    """
    for scene in scenes:
        if len(scenes) > 1 and not _is_timed(scene):
            continue
        yield from (_labelled(one, scene.label) for one in _own(scene, scenes) if one)
    yield from sweeps(scenes)


def _own(scene: Scene, scenes: Sequence[Scene]) -> Iterator[Picture | None]:
    in_model = bool(scene.condition.case.model)
    yield model_panel.panel(scene, scenes) if in_model else charts.panel(scene.run, scene.condition, scene.slug)
    yield bubble(scene)
    yield pareto(scene)
    yield roofline(scene)


def _is_timed(scene: Scene) -> bool:
    return any(info.relative for info in present(scene.run, scene.condition))


def _labelled(picture: Picture, label: str) -> Picture:
    """Where several runs have the condition, the picture says which it is of."""
    return replace(picture, subtitle=f"{label}: {picture.subtitle}") if label else picture
