"""What the pictures share: numbers in the units that people read, axes, and sentences of captions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from upsampler_bench import units
from upsampler_bench.paper import ours
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.naming import file_name
from upsampler_bench.report.pictures import Axis
from upsampler_bench.results import MetricInfo, Raster
from upsampler_bench.stats import Estimate

FLOPS, PARAMS = ("flops_paper", "flops_mac"), ("params_weights", "params_all")
# An axis is logarithmic where more than a quarter of the values would be shorter than a fifteenth of the longest.
SHORT, MANY = 1 / 15, 1 / 4


def estimate(line: Line | None, info: MetricInfo | None) -> Estimate | None:
    """A line's number in the metric's unit for people, or None."""
    reading = line.reading(info) if line and info else None
    return units.convert(reading.estimate, units.unit(info.unit)) if reading and info else None


def interval(number: Estimate) -> tuple[float, float] | None:
    """The ends of the 95 % interval; None for an exact number and for too few rounds."""
    return (number.low, number.high) if number.is_bounded and number.low < number.high else None


def needs_log(values: Sequence[float]) -> bool:
    """Whether the largest value is so far beyond the others that a linear axis would flatten them."""
    positive = [value for value in values if value > 0]
    if not positive or min(values) < 0:
        return False
    return sum(value < SHORT * max(positive) for value in positive) > MANY * len(positive)


def axis(info: MetricInfo, values: Sequence[float]) -> Axis:
    """The axis of a metric, logarithmic where its values need it."""
    is_log = needs_log(values) and min(values) > 0
    return Axis(info.title, units.unit(info.unit).name, is_log)


def subtitle(condition: Condition) -> str:
    """The condition in words; where several runs have it, with the run's label."""
    return f"{condition.label}: {condition.words}" if condition.label else condition.words


def given_mious(condition: Condition) -> list[str]:
    """A sentence that names the operators whose mIoU a user gave; none where all are as published."""
    names = ours.given_mious([condition.run])
    return [f"mIoU of {', '.join(names)}: given by the user."] if names else []


def missing(condition: Condition, infos: Sequence[MetricInfo], drawn: Collection[str]) -> list[str]:
    """A sentence that names the operators that are not drawn, each with its status; none where all are drawn."""
    reasons = []
    for line in condition.lines:
        if line.name not in drawn:
            statuses = [line.why_not(info) for info in infos if not line.reading(info)]
            reasons.append(f"{line.name} ({next(filter(None, statuses), 'no reading')})")
    return [f"Not measured: {', '.join(reasons)}."] if reasons else []


def painted(like: Raster, pixels: Sequence[tuple[int, int, int]]) -> Raster:
    """Pixels row by row as an image as wide as another."""
    rows = [pixels[start : start + like.width] for start in range(0, len(pixels), like.width)]
    return Raster.pack([[channel for pixel in row for channel in pixel] for row in rows], channels=3)


def quality_slug(condition: Condition, task: str = "") -> str:
    """What tells a picture of quality from the others of its kind: its task, and its run where there are several."""
    return file_name([part for part in (task, condition.label) if part])
