"""The roofline: the rate of multiply-adds that operators reach, under the two rates that the same run measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.pictures import Axis, Plane, Point, Polyline
from upsampler_bench.report.pictures._numbers import missing, subtitle
from upsampler_bench.results import MetricInfo
from upsampler_bench.units import short

PLACE = 3
FACTS = ("bytes", "macs", "copying", "multiplying")
GIGA = 1e9


def pictures(conditions: Sequence[Condition]) -> Iterator[Plane]:
    """One plane for each condition without a model under which an operator has a latency and a roofline time."""
    for condition in conditions:
        latency, bound = condition.first(("latency",)), condition.first(("roofline_time",))
        if condition.case.model or latency is None or bound is None:
            continue
        facts = {line.name: facts for line in condition.lines if (facts := _facts(line, latency, bound))}
        if any(one["macs"] for one in facts.values()):
            yield _plane(condition, (latency, bound), facts)


def _facts(line: Line, latency: MetricInfo, bound: MetricInfo) -> dict[str, float]:
    """The facts behind a roofline time and the measured seconds; empty where one is missing or not positive."""
    timed, counted = line.reading(latency), line.reading(bound)
    if timed is None or counted is None or not all(name in counted.facts for name in FACTS):
        return {}
    facts = {name: float(counted.facts[name]) for name in FACTS} | {"seconds": timed.estimate.value}
    return facts if all(facts[name] > 0 for name in facts if name != "macs") else {}


def _plane(condition: Condition, infos: Sequence[MetricInfo], facts: Mapping[str, Mapping[str, float]]) -> Plane:
    copying, multiplying = (median(one[rate] for one in facts.values()) for rate in ("copying", "multiplying"))
    shares = {name: share(one) for name, one in facts.items()}
    points = []
    for name, one in facts.items():
        if one["macs"]:
            x, y = one["macs"] / one["bytes"], one["macs"] / one["seconds"] / GIGA
            points.append(
                Point(name, x, y, f"{name} {percent(shares[name])}", note=f"{percent(shares[name])} of the roofline")
            )
    parts = [point for line in condition.lines if line.name in facts for point in _operations(line, condition)]
    ridge = multiplying / copying
    left = min([ridge / 14, *(point.x / 2 for point in (*points, *parts))])
    right = max([ridge * 8, *(point.x * 3 for point in (*points, *parts))])
    roof = ((left, left * copying / GIGA), (ridge, multiplying / GIGA), (right, multiplying / GIGA))
    rates = f"{short(copying / GIGA)} GB/s (copy) and {short(multiplying / GIGA)} G multiply-adds/s (matrix products)"
    return Plane(
        name="roofline",
        title=f"Roofline of {condition.device}",
        subtitle=subtitle(condition),
        x=Axis("Arithmetic intensity", "multiply-adds per byte", log=True),
        y=Axis("Performance", "10⁹ multiply-adds/s", log=True),
        points=(*points, *parts),
        fills=("operator", "one of its operations, where it was profiled") if parts else None,
        lines=(Polyline(roof),),
        caption=" ".join([f"Roof: {rates}, measured in the same run.", *_caption(condition, infos, facts, shares)]),
        slug=condition.slug,
    )


def _operations(line: Line, condition: Condition) -> Iterator[Point]:
    """A ring for each operation of a profiled forward that multiplies."""
    info = condition.run.metric("profile")
    reading = info and line.reading(info)
    for part in reading.parts if reading else ():
        if part.multiply_adds and part.traffic and part.seconds:
            x, y = part.multiply_adds / part.traffic, part.multiply_adds / part.seconds / GIGA
            yield Point(line.name, x, y, hollow=True, note=" of ".join(filter(None, (part.name, part.within))))


def share(facts: Mapping[str, float]) -> float:
    """The share of its roofline that an operator reaches; without multiply-adds, of the rate of a copy."""
    bound = max(facts["bytes"] / facts["copying"], facts["macs"] / facts["multiplying"])
    return bound / facts["seconds"]


def percent(value: float) -> str:
    """A share as per cent with two digits: 0.58 %, 5.8 %, 58 %."""
    places = 0 if value >= 0.0995 else 1 if value >= 0.00995 else 2
    return f"{100 * value:.{places}f} %"


def _caption(
    condition: Condition,
    infos: Sequence[MetricInfo],
    facts: Mapping[str, Mapping[str, float]],
    shares: Mapping[str, float],
) -> Iterator[str]:
    yield "Multiply-adds and bytes are the minimum that the operator needs, over its median latency."
    yield "Per cent: share of the roofline."
    copies = [f"{name} {percent(shares[name])}" for name, one in facts.items() if not one["macs"]]
    if copies:
        yield f"Without multiply-adds, as a share of the copy's rate: {', '.join(copies)}."
    above = [name for name, one in facts.items() if one["macs"] and shares[name] > 1]
    if above:
        yield f"Above the roof: {', '.join(above)} (fewer products than the formula has, or data kept in a cache)."
    readings = {line.name: line.reading(infos[1]) for line in condition.lines if line.name in facts}
    uncounted = [
        f"{name}: {reading.facts['uncounted']}"
        for name, reading in readings.items()
        if reading and reading.facts.get("uncounted")
    ]
    if uncounted:
        yield f"Not counted: {'; '.join(uncounted)}."
    yield from missing(condition, infos, set(facts))
