"""What networks with each operator make of the same images: predictions, and where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upsampler_bench import units
from upsampler_bench.quality.tasks import SCORES, TITLES
from upsampler_bench.report.lines import Condition
from upsampler_bench.report.pictures import Mosaic, Tile
from upsampler_bench.report.pictures._numbers import painted, quality_slug
from upsampler_bench.report.quality import Ranked, ranked
from upsampler_bench.results import Raster, Scene, Training

PLACE, OF = 22, "quality"
# Background, disc, box, triangle, bar.
COLOURS = ((236, 236, 236), (204, 102, 119), (17, 119, 51), (51, 34, 136), (221, 170, 51))
WRONG, RIGHT = (213, 94, 0), (245, 245, 245)
# Grey values are shown so many times as wrong as they are.
GAIN = 4


def pictures(conditions: Sequence[Condition]) -> Iterator[Mosaic]:
    """One mosaic for each task of which predictions were kept."""
    for condition in conditions:
        for task in SCORES:
            scenes = [scene for scene in condition.run.scenes if scene.task == task]
            shown = [(one, training) for one in ranked(condition, task) if (training := _kept(one, task, scenes))]
            if shown and scenes:
                yield _mosaic(condition, task, scenes, shown)


def _kept(one: Ranked, task: str, scenes: Sequence[Scene]) -> Training | None:
    """The training of an operator that has a prediction for each scene."""
    trainings = one.line.measurements[0].trainings
    fitting = (training for training in trainings if training.task == task and len(training.predictions) >= len(scenes))
    return next((training for training in fitting if training.predictions), None)


def _mosaic(
    condition: Condition, task: str, scenes: Sequence[Scene], shown: Sequence[tuple[Ranked, Training]]
) -> Mosaic:
    labelled = scenes[0].answer is not None
    first = [(Tile(scene.image), Tile(_labels(scene.answer) if scene.answer else None)) for scene in scenes]
    rows = [("input and label" if labelled else "input", tuple(tile for pair in first for tile in pair))]
    for one, training in shown:
        pairs = zip(scenes, training.predictions, strict=False)
        rows.append((_words(one, task), tuple(tile for pair in pairs for tile in _tiles(*pair))))
    errors = "wrong pixels in orange" if labelled else f"absolute error × {GAIN}"
    return Mosaic(
        name="scenes",
        title=f"{TITLES[task]}: what a network with each operator predicts",
        subtitle=f"seed {shown[0][1].seed}, {condition.run.settings.steps} steps",
        rows=tuple(rows),
        caption=f"Best first, by {SCORES[task][0].title}: the mean over seeds, below each name. Right of each "
        f"prediction its errors: {errors}.",
        slug=quality_slug(condition, task),
    )


def _words(one: Ranked, task: str) -> str:
    first = SCORES[task][0]
    mean, unit = one.mean(first), units.unit(first.unit)
    return one.line.name if mean is None else f"{one.line.name}\n{mean / unit.size:.{first.digits}f} {unit.name}"


def _tiles(scene: Scene, prediction: Raster) -> tuple[Tile, Tile]:
    if scene.answer is None:
        return Tile(prediction), Tile(_differences(scene.image, prediction))
    return Tile(_labels(prediction)), Tile(_mistakes(scene.answer, prediction))


def _labels(raster: Raster) -> Raster:
    return painted(raster, [COLOURS[label % len(COLOURS)] for label in raster.bytes])


def _mistakes(answer: Raster, prediction: Raster) -> Raster:
    pairs = zip(answer.bytes, prediction.bytes, strict=False)
    return painted(prediction, [RIGHT if right == found else WRONG for right, found in pairs])


def _differences(image: Raster, prediction: Raster) -> Raster:
    pairs = zip(image.bytes, prediction.bytes, strict=False)
    levels = [255 - min(255, GAIN * abs(right - found)) for right, found in pairs]
    return painted(prediction, [(level, level, level) for level in levels])
