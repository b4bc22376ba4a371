"""The paper's Fig. 1, measured and published: latency relative to bilinear against mIoU, area by the GFLOPs added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from upsampler_bench.paper import published
from upsampler_bench.paper.ours import mious
from upsampler_bench.report.lines import Condition, Line
from upsampler_bench.report.pictures import Axis, Plane, Point, Polyline
from upsampler_bench.report.pictures._numbers import FLOPS, estimate, given_mious, interval, needs_log, subtitle
from upsampler_bench.results import MetricInfo

PLACE = 1
BASELINE = "bilinear"
# What the published latencies are of: batch, channels, height, width and scale.
SHAPE = (1, 256, 120, 120, 2)
# How exactly a latency can be read off the published figure, in ms.
READ_OFF = 0.1


def pictures(conditions: Sequence[Condition]) -> Iterator[Plane]:
    """One plane for each condition of the paper's shape under which at least two operators were measured."""
    for condition in conditions:
        case = condition.case
        if case.model or (case.batch, case.channels, case.height, case.width, case.scale) != SHAPE:
            continue
        baseline, latency = condition.operator(BASELINE), condition.first(("latency",))
        if baseline is None or latency is None:
            continue
        points = [_measured(condition, line, baseline, latency) for line in condition.lines]
        measured = [point for point in points if point]
        if len(measured) > 1:
            yield _plane(condition, measured)


def _plane(condition: Condition, measured: Sequence[Point]) -> Plane:
    operators = {line.name: line.operator for line in condition.lines}
    places = {point.name: (point.x, point.y) for point in measured}
    drawn = {operators[name] for name in places}
    published_points = _published(dict.fromkeys(operators.values()))
    rings = [point if point.name in drawn else replace(point, label=point.name) for point in published_points]
    ends = {ring.name: (ring.x, ring.y) for ring in rings}
    pairs = [
        Polyline((place, ends[operators[name]]), name) for name, place in places.items() if operators[name] in ends
    ]
    cost = condition.first(FLOPS)
    return Plane(
        name="bubble",
        title="Speed and quality, measured here and published",
        subtitle=f"measured on {condition.device}: {subtitle(condition)}; published: on an RTX 3090",
        x=Axis(f"Latency relative to {BASELINE}", "×", needs_log([point.x for point in (*measured, *rings)])),
        y=Axis("mIoU" if given_mious(condition) else "Published mIoU", "%"),
        points=(*measured, *rings),
        lines=tuple(pairs),
        size="GFLOPs added" if cost else "",
        fills=("measured", "published"),
        caption=" ".join(_caption(condition, cost, list(places), [ring.name for ring in rings])),
        slug=condition.slug,
    )


def _measured(condition: Condition, line: Line, baseline: Line, latency: MetricInfo) -> Point | None:
    quality = mious([condition.run]).get(line.operator)
    ours, theirs = line.measurement(latency), baseline.measurement(latency)
    if quality is None or ours is None or theirs is None:
        return None
    # The ratio to bilinear, whichever the run's own baseline is.
    ratio = condition.run.ratio(ours.case, latency.name, theirs.case)
    if ratio is None:
        return None
    flops, base = (estimate(one, condition.first(FLOPS)) for one in (line, baseline))
    size = max(flops.value - base.value, 0.0) if flops and base else 0.0
    return Point(line.name, ratio.value, quality, line.name, size, interval(ratio), note="measured here")


def _published(names: Iterable[str]) -> list[Point]:
    """The paper's own points of these operators, with the additions of Table 4 as areas."""
    latencies, quality = published.latency_rtx3090(), published.segformer_b1_ade20k()
    unit, points = latencies[BASELINE].ms, []
    for name in names:
        if name in latencies and name in quality:
            ms, doubt = latencies[name].ms, READ_OFF if latencies[name].source == "figure" else 0.0
            between = ((ms - doubt) / unit, (ms + doubt) / unit) if doubt else None
            size = 0.0 if name == BASELINE else float(quality[name]["gflops"])
            miou = float(quality[name]["miou"])
            points.append(Point(name, ms / unit, miou, "", size, between, hollow=True, note="published, RTX 3090"))
    return points


def _caption(
    condition: Condition, cost: MetricInfo | None, measured: Sequence[str], printed: Sequence[str]
) -> Iterator[str]:
    yield "Full circles: latency measured here; rings: published in the DySample paper (Fig. 1)."
    yield f"A line joins the two of one operator. {BASELINE} itself is 1."
    yield "Error bars: 95 % interval; of rings, how exactly Fig. 1 can be read."
    yield "mIoU as published: SegFormer-B1 on ADE20K (Table 4)."
    yield from given_mious(condition)
    if cost:
        yield f"Area: GFLOPs added to {BASELINE}; of rings, those of Table 4 (six stages, 14,592 pixels)."
    known, lines = mious([condition.run]), condition.lines
    drawn = {line.operator for line in lines if line.name in measured}
    left_out = {
        "No published mIoU": [line.name for line in lines if line.operator not in known],
        "Not measured": [line.name for line in lines if line.operator in known and line.name not in measured],
        "No published latency": [name for name in known if name in drawn and name not in printed],
    }
    yield from (f"{reason}: {', '.join(operators)}." for reason, operators in left_out.items() if operators)
