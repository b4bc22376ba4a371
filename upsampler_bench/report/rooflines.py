"""The roofline: multiply-adds a second that operators reach, under the two rates that the same run measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from upsampler_bench.report.conditions import Scene, missing
from upsampler_bench.report.lines import Line
from upsampler_bench.report.pictures import Reached, Roofline
from upsampler_bench.results import MetricInfo

SPEED, FLOOR = "latency", "roofline_time"
NEEDED = ("bytes", "macs", "copying", "multiplying")


def roofline(scene: Scene) -> Roofline | None:
    """What the bare operators reach; None in a model, or where nothing has both a latency and a floor."""
    speed, floor = scene.first((SPEED,)), scene.first((FLOOR,))
    if scene.condition.case.model or speed is None or floor is None:
        return None
    facts = {line.name: found for line in scene.condition.lines if (found := _facts(line, floor))}
    points = tuple(
        one for line in scene.condition.lines if line.name in facts and (one := _reached(line, speed, facts[line.name]))
    )
    if not points:
        return None
    copying, multiplying = (median(facts[one.name][name] for one in points) for name in ("copying", "multiplying"))
    caption = " ".join(_caption(scene, (speed, floor), points))
    title = f"What operators reach of {scene.device}"
    return Roofline(title, scene.condition.words, copying, multiplying, points, caption, scene.slug)


def _facts(line: Line, floor: MetricInfo) -> dict[str, float]:
    """The floor's facts as numbers; empty where one lacks or cannot be divided by."""
    found = line.find(floor)
    held: Mapping[str, float | str] = found[1].facts if found else {}
    read = {name: float(held[name]) for name in NEEDED if name in held}
    complete = len(read) == len(NEEDED) and min(read["bytes"], read["copying"], read["multiplying"]) > 0
    return read if complete else {}


def _reached(line: Line, speed: MetricInfo, facts: Mapping[str, float]) -> Reached | None:
    found = line.find(speed)
    seconds = found[1].estimate.value if found else 0.0
    if seconds <= 0:
        return None
    intensity = facts["macs"] / facts["bytes"]
    bound = min(facts["multiplying"], intensity * facts["copying"])
    multiplying, copying = facts["macs"] / seconds, facts["bytes"] / seconds
    share = multiplying / bound if bound else copying / facts["copying"]
    return Reached(line.name, intensity, multiplying, copying, bound, share)


def _caption(scene: Scene, infos: Sequence[MetricInfo], points: Sequence[Reached]) -> Iterator[str]:
    yield "Roof: rates of a large copy and of large products, measured in the same run."
    yield "Multiply-adds (mac) and bytes are the least that the operator needs, over its median latency."
    yield "Per cent: of the roof above it."
    if idle := [one.name for one in points if not one.intensity]:
        yield f"Left: operators without a multiply-add, by their share of the copy's rate: {', '.join(idle)}."
    if over := [one.name for one in points if one.multiplying > one.bound > 0]:
        yield f"Above the roof: {', '.join(over)} (fewer products than the formula has, or data kept in a cache)."
    if partly := list(_uncounted(scene, infos[1], {one.name for one in points})):
        yield f"Not counted: {'; '.join(partly)}."
    yield from missing(scene.condition, infos, {one.name for one in points})


def _uncounted(scene: Scene, floor: MetricInfo, drawn: set[str]) -> Iterator[str]:
    for line in scene.condition.lines:
        found = line.find(floor) if line.name in drawn else None
        if found and found[1].facts.get("uncounted"):
            yield f"{line.name}: {found[1].facts['uncounted']}"
