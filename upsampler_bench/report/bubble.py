"""The paper's Fig. 1, ours and theirs in one plane: latency over bilinear's against mIoU, area by the GFLOPs added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upsampler_bench.paper import published
from upsampler_bench.report.conditions import FLOPS, Scene, estimate, squashed
from upsampler_bench.report.lines import Line
from upsampler_bench.report.pictures import Point, Scatter
from upsampler_bench.results import MetricInfo
from upsampler_bench.stats import Estimate, paired_ratio

BASE, SPEED = "bilinear", "latency"
MEASURED, PUBLISHED = "measured", "published"
# What the published latencies are of: batch, channels, height, width and scale.
PAPER = (1, 256, 120, 120, 2)
# How exactly a latency can be read off the published figure, in ms.
READ_OFF = 0.1


def bubble(scene: Scene) -> Scatter | None:
    """Both in one plane, for the paper's own shape; None where fewer than two operators were measured in it."""
    case, base, speed = scene.condition.case, scene.condition.line(BASE), scene.run.metric(SPEED)
    shape = (case.batch, case.channels, case.height, case.width, case.scale)
    if shape != PAPER or case.model or base is None or speed is None:
        return None
    measured = [one for line in scene.condition.lines if (one := _measured(scene, line, base, speed))]
    if len(measured) < 2:
        return None
    theirs = list(_published([line.name for line in scene.condition.lines]))
    log = squashed([one.x for one in (*measured, *theirs)])
    cost = scene.first(FLOPS)
    return Scatter(
        title="Speed and quality, measured here and published",
        subtitle=f"measured on {scene.device}: {scene.condition.words}; published: on an RTX 3090",
        x_axis=f"Latency / {BASE} (×{', log scale' if log else ''})",
        y_axis="mIoU (%), published",
        size_title="GFLOPs added" if cost else "",
        points=(*measured, *theirs),
        caption=" ".join(_caption(scene, cost, measured, theirs)),
        log=log,
        slug=scene.slug,
        name="bubble",
    )


def _measured(scene: Scene, line: Line, base: Line, speed: MetricInfo) -> Point | None:
    quality, ratio = published.segformer_b1_ade20k().get(line.name), _ratio(line, base, speed)
    if quality is None or ratio is None:
        return None
    cost = scene.first(FLOPS)
    ours, theirs = estimate(line, cost), estimate(base, cost)
    size = ours.value - theirs.value if ours and theirs else 0.0
    low, high = (ratio.low, ratio.high) if ratio.is_bounded else (ratio.value, ratio.value)
    return Point(line.name, ratio.value, quality.miou, max(size, 0.0), low, high, MEASURED)


def _ratio(line: Line, base: Line, speed: MetricInfo) -> Estimate | None:
    """The ratio to bilinear, whichever the run's own baseline is."""
    ours, theirs = line.find(speed), base.find(speed)
    if ours is None or theirs is None or ours[1].method != theirs[1].method or not all(theirs[1].samples):
        return None
    return paired_ratio(ours[1].rounds, theirs[1].rounds)


def _published(names: Sequence[str]) -> Iterator[Point]:
    """The paper's own points of these operators, Table 4's additions as areas."""
    latencies, quality = published.latency_rtx3090(), published.segformer_b1_ade20k()
    unit = latencies[BASE].ms
    for name in (one for one in names if one in latencies and one in quality):
        one, doubt = latencies[name], READ_OFF if latencies[name].source == "figure" else 0.0
        size = 0.0 if name == BASE else quality[name].gflops
        low, high = (one.ms - doubt) / unit, (one.ms + doubt) / unit
        yield Point(name, one.ms / unit, quality[name].miou, size, low, high, PUBLISHED)


def _caption(scene: Scene, cost: MetricInfo | None, ours: Sequence[Point], theirs: Sequence[Point]) -> Iterator[str]:
    yield "Full circles: latency measured here; rings: published in the DySample paper (Fig. 1)."
    yield f"A line joins the two of one operator. {BASE} itself is 1."
    yield "Black: 95 % interval; of rings how well Fig. 1 can be read."
    yield "mIoU as published: SegFormer-B1 on ADE20K (Table 4)."
    if cost:
        yield f"Area: GFLOPs added to {BASE} ({cost.name}); of rings those of Table 4 (six stages, 14,592 pixels)."
    drawn, printed = {one.name for one in ours}, {one.name for one in theirs}
    known = published.segformer_b1_ade20k()
    unknown = [line.name for line in scene.condition.lines if line.name not in known]
    lost = [line.name for line in scene.condition.lines if line.name in known and line.name not in drawn]
    rings = sorted(drawn - printed, key=list(known).index)
    for said, names in (("No published mIoU", unknown), ("Not measured", lost), ("No published latency", rings)):
        if names:
            yield f"{said}: {', '.join(names)}."
